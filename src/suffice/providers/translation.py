"""Between OpenAI's chat completions and other shapes: what the translations have in common."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from suffice.errors import ProviderGarbage, ProviderRejected
from suffice.providers.failures import error_event
from suffice.types import Answer, Candidate, Chunk, Options, TokenLogprob, Usage


def usage_body(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object."""
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return body


def logprobs_body(logprobs: Sequence[TokenLogprob] | None) -> dict[str, Any] | None:
    """OpenAI's logprobs object."""
    if logprobs is None:
        return None
    return {"content": [_entry(item.token, item.logprob, item.top) for item in logprobs]}


def _entry(token: str, logprob: float, top: Sequence[tuple[str, float]]) -> dict[str, Any]:
    return {
        **_token(token, logprob),
        "top_logprobs": [_token(other, value) for other, value in top],
    }


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def translated_answer(
    choices: Sequence[dict[str, Any]],
    *,
    candidate: Candidate,
    usage: Usage,
    latency_s: float,
    id: str,
    model: str,
    logprobs: tuple[TokenLogprob, ...] | None,
    no_logprobs: str | None,
) -> Answer:
    """An Answer with an OpenAI-shaped body, made of finished choices."""
    body = {
        "id": id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": usage_body(usage),
    }
    message = choices[0]["message"]
    return Answer(
        content=message["content"] or "",
        candidate=candidate.name,
        usage=usage,
        cost_usd=candidate.price.cost_usd(usage),
        latency_s=latency_s,
        finish_reason=choices[0]["finish_reason"],
        tool_calls=message.get("tool_calls", ()),
        logprobs=logprobs,
        no_logprobs=no_logprobs,
        body=msgspec.json.encode(body),
    )


def message_body(
    text: str, *, reasoning: str = "", tool_calls: Sequence[dict[str, Any]] = (), refusal: str | None = None
) -> dict[str, Any]:
    """OpenAI's assistant message."""
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if tool_calls else "")}
    if reasoning:
        message["reasoning_content"] = reasoning
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    if refusal is not None:
        message["refusal"] = refusal
    return message


class ChunkWriter:
    """Makes the chat.completion.chunks of one stream."""

    def __init__(self, *, keeps_usage: bool) -> None:
        self.keeps_usage = keeps_usage
        self.id = ""
        self.model = ""
        self._created = int(time.time())

    def delta(
        self, delta: dict[str, Any], *, text: str = "", usage: Usage | None = None, index: int = 0
    ) -> Chunk:
        """One piece; `usage` is known so far and does not appear in the JSON."""
        says_something = bool(
            delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls")
        )
        data = self._data([{"index": index, "delta": delta, "finish_reason": None}])
        return Chunk(data=data, text=text, has_content=says_something, usage=usage)

    def finish(self, reason: str, *, index: int = 0) -> Chunk:
        data = self._data([{"index": index, "delta": {}, "finish_reason": reason}])
        return Chunk(data=data, finish_reason=reason)

    def usage(self, usage: Usage) -> Chunk:
        """The last chunk; without data where the client did not ask for it."""
        data = self._data([], usage=usage_body(usage)) if self.keeps_usage else b""
        return Chunk(data=data, usage=usage)

    def _data(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        body = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self.model,
            "choices": choices,
            **more,
        }
        return msgspec.json.encode(body)


def decode_object(data: bytes, *, candidate: str, secret: str | None = None) -> Mapping[str, Any]:
    """The JSON object in a body or event.

    Raises
    ------
    ProviderGarbage
        If there is none.
    ProviderError
        If it holds an `error`.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderGarbage(f"the answer is not JSON: {error}", candidate=candidate) from error
    if not isinstance(value, dict):
        raise ProviderGarbage(
            f"the answer is a JSON {type(value).__name__}, not an object", candidate=candidate
        )
    if value.get("error"):
        raise error_event(value["error"], candidate=candidate, secret=secret)
    return value


def arguments_of(call: Mapping[str, Any], candidate: str) -> dict[str, Any]:
    """A tool call's arguments, which OpenAI keeps as text."""
    text = (call.get("function") or {}).get("arguments") or "{}"
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, TypeError) as error:
        raise ProviderRejected(
            f"the arguments of tool call {call.get('id')!r} are not a JSON object: {error}",
            candidate=candidate,
        ) from error


def json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def split_data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a data URL; None for any other."""
    if not url.startswith("data:"):
        return None
    head, _, data = url[5:].partition(",")
    media_type, _, encoding = head.partition(";")
    return (media_type or "text/plain", data) if encoding.endswith("base64") else None


def function_tools(options: Options) -> list[dict[str, Any]]:
    """The `function` of every function tool on offer."""
    tools = options.fields.get("tools")
    if not isinstance(tools, list):
        return []
    return [
        tool["function"]
        for tool in tools
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]


def stop_sequences(options: Options) -> list[str]:
    stop = options.fields.get("stop")
    return [stop] if isinstance(stop, str) else list(stop or [])


def json_schema(options: Options) -> dict[str, Any] | None:
    """The schema that the answer must follow, if one is asked for."""
    wish = options.fields.get("response_format")
    if not isinstance(wish, dict) or wish.get("type") != "json_schema":
        return None
    schema = (wish.get("json_schema") or {}).get("schema")
    return schema if isinstance(schema, dict) else None


def count(value: Any) -> int | None:
    """A token count, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
