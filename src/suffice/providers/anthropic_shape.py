"""Anthropic's Messages, from and to OpenAI's chat completions: pure functions.

References
----------
Anthropic API reference, "Messages" and "Streaming Messages", version 2023-06-01.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from suffice.errors import ProviderRejected
from suffice.providers.translation import (
    arguments_of,
    count,
    function_tools,
    json_schema,
    json_text,
    message_body,
    split_data_url,
    stop_sequences,
)
from suffice.types import Options, Usage, content_text

_NATIVE: Final = ("top_k", "top_p", "thinking", "metadata", "service_tier", "container", "mcp_servers")
"""Fields that mean the same here and there, or exist only here."""
FINISH_REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

# --- there


def request_body(
    messages: Sequence[Mapping[str, Any]], options: Options, *, model: str, max_tokens: int, candidate: str
) -> dict[str, Any]:
    """The Messages request; `max_tokens` is used where the client gave none."""
    fields = options.fields
    if fields.get("n") not in (None, 1):
        raise ProviderRejected(
            f"n={fields['n']!r}: Anthropic gives one choice a call; leave n out", candidate=candidate
        )
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": options.max_tokens or max_tokens,
        "messages": turns(messages, candidate),
        **{name: fields[name] for name in _NATIVE if fields.get(name) is not None},
    }
    system = [block for message in messages if _is_system(message) for block in _blocks(message, candidate)]
    if system:
        body["system"] = system
    if (temperature := fields.get("temperature")) is not None:
        body["temperature"] = min(temperature, 1.0)  # OpenAI's scale ends at 2
    if stop := stop_sequences(options):
        body["stop_sequences"] = stop
    if fields.get("user") and "metadata" not in body:
        body["metadata"] = {"user_id": str(fields["user"])}
    if (schema := json_schema(options)) is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body | _tools(options)


def turns(messages: Sequence[Mapping[str, Any]], candidate: str) -> list[dict[str, Any]]:
    """User and assistant messages; neighbours of one role become one, so tool results stay together."""
    result: list[dict[str, Any]] = []
    for message in messages:
        if _is_system(message):
            continue
        role = "assistant" if message.get("role") == "assistant" else "user"
        blocks = _turn(message, candidate)
        if result and result[-1]["role"] == role:
            result[-1]["content"] += blocks
        elif blocks:
            result.append({"role": role, "content": blocks})
    return result


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _turn(message: Mapping[str, Any], candidate: str) -> list[dict[str, Any]]:
    if message.get("role") == "tool":
        content = message.get("content")
        blocks = content if isinstance(content, str) else _blocks(message, candidate)
        return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": blocks}]
    calls = [
        {
            "type": "tool_use",
            "id": call.get("id"),
            "name": (call.get("function") or {}).get("name"),
            "input": arguments_of(call, candidate),
        }
        for call in message.get("tool_calls") or ()
    ]
    return _blocks(message, candidate) + calls


def _blocks(message: Mapping[str, Any], candidate: str) -> list[dict[str, Any]]:
    """A message's content as blocks; empty texts, which Anthropic refuses, are left out."""
    content = message.get("content")
    if isinstance(content, list):
        blocks = (_block(part, candidate) for part in content if isinstance(part, dict))
        return [block for block in blocks if block.get("type") != "text" or block.get("text")]
    text = content_text(content)
    return [{"type": "text", "text": text}] if text else []


def _block(part: dict[str, Any], candidate: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        return {"type": "image", "source": _source((part.get("image_url") or {}).get("url", ""))}
    if kind == "file" and (data := split_data_url((part.get("file") or {}).get("file_data", ""))):
        return {"type": "document", "source": {"type": "base64", "media_type": data[0], "data": data[1]}}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal", "")}
    if kind in ("input_audio", "file"):
        raise ProviderRejected(
            f"a content part of type {kind!r} has no counterpart at Anthropic", candidate=candidate
        )
    return part  # text, and blocks that are Anthropic's already


def _source(url: str) -> dict[str, Any]:
    data = split_data_url(url)
    if data is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": data[0], "data": data[1]}


def _tools(options: Options) -> dict[str, Any]:
    functions = function_tools(options)
    if not functions:
        return {}
    tools = [
        {
            "name": function.get("name"),
            **({"description": function["description"]} if function.get("description") else {}),
            "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        }
        for function in functions
    ]
    choice = _tool_choice(options.fields.get("tool_choice"))
    if options.fields.get("parallel_tool_calls") is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return {"tools": tools, **({"tool_choice": choice} if choice else {})}


def _tool_choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, dict):
        return {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    return {"type": {"required": "any"}.get(choice, choice)} if isinstance(choice, str) else {}


# --- back


def usage_of(usage: Any) -> Usage:
    """Anthropic counts cached tokens beside `input_tokens`; we count them among the prompt's."""
    if not isinstance(usage, dict):
        return Usage()
    fresh, read = count(usage.get("input_tokens")), count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        completion_tokens=count(usage.get("output_tokens")),
        cached_tokens=read,
    )


def choice_of(content: Iterable[Any], stop_reason: Any) -> dict[str, Any]:
    """OpenAI's choice for a finished message."""
    texts, thoughts, calls = [], [], []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking", "")))
        elif kind == "tool_use":
            calls.append(tool_call(block, json_text(block.get("input") or {})))
    return {
        "index": 0,
        "message": message_body("".join(texts), reasoning="".join(thoughts), tool_calls=calls),
        "finish_reason": FINISH_REASONS.get(str(stop_reason), "stop"),
        "logprobs": None,
    }


def tool_call(block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    """OpenAI's tool call for a `tool_use` block."""
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }
