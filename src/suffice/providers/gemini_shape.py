"""Gemini's generateContent, from and to OpenAI's chat completions: pure functions.

References
----------
Gemini API reference, v1beta, "models.generateContent" and "models.streamGenerateContent".
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

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
from suffice.types import Options, TokenLogprob, Usage, content_text

_CONFIG: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "top_logprobs": "logprobs",
    "logprobs": "responseLogprobs",
    "thinkingConfig": "thinkingConfig",
}
_NATIVE: Final = ("safetySettings", "cachedContent", "labels")
_BLOCKED: Final = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"}
)
_MODES: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE"}

# --- there


def request_body(
    messages: Sequence[Mapping[str, Any]], options: Options, *, candidate: str
) -> dict[str, Any]:
    """The generateContent request."""
    fields = options.fields
    body: dict[str, Any] = {"contents": contents(messages, candidate)}
    system = [part for message in messages if _is_system(message) for part in _parts(message)]
    if system:
        body["systemInstruction"] = {"parts": system}
    if config := _generation_config(options):
        body["generationConfig"] = config
    body |= {name: fields[name] for name in _NATIVE if name in fields}
    return body | _tools(options)


def contents(messages: Sequence[Mapping[str, Any]], candidate: str) -> list[dict[str, Any]]:
    """Turns of user and model; neighbours of one role become one, so tool results stay together."""
    result: list[dict[str, Any]] = []
    names: dict[Any, Any] = {}
    for message in messages:
        if _is_system(message):
            continue
        role = "model" if message.get("role") == "assistant" else "user"
        if message.get("role") == "tool":
            parts = [_function_response(message, names)]
        else:
            calls = message.get("tool_calls") or ()
            names |= {call.get("id"): _function(call).get("name") for call in calls}
            parts = _parts(message) + [_function_call(call, candidate) for call in calls]
        if result and result[-1]["role"] == role:
            result[-1]["parts"] += parts
        elif parts:
            result.append({"role": role, "parts": parts})
    return result


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def _function_call(call: Mapping[str, Any], candidate: str) -> dict[str, Any]:
    part: dict[str, Any] = {
        "functionCall": {"name": _function(call).get("name"), "args": arguments_of(call, candidate)}
    }
    extra = (call.get("extra_content") or {}).get("google") or {}
    if signature := extra.get("thought_signature"):
        part["thoughtSignature"] = signature
    return part


def _function_response(message: Mapping[str, Any], names: Mapping[Any, Any]) -> dict[str, Any]:
    """Gemini knows a result by its function's name and wants an object."""
    text = content_text(message.get("content"))
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        value = text
    name = names.get(message.get("tool_call_id")) or message.get("name") or "function"
    response = value if isinstance(value, dict) else {"result": value}
    return {"functionResponse": {"name": name, "response": response}}


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, list):
        return [_part(part) for part in content if isinstance(part, dict)]
    text = content_text(content)
    return [{"text": text}] if text else []


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return {"text": part.get(kind, "")}
    if kind == "image_url":
        return _media((part.get("image_url") or {}).get("url", ""))
    if kind == "file":
        return _media((part.get("file") or {}).get("file_data", ""))
    if kind == "input_audio":
        audio = part.get("input_audio") or {}
        return {
            "inlineData": {"mimeType": f"audio/{audio.get('format', 'wav')}", "data": audio.get("data", "")}
        }
    return part  # Gemini's own


def _media(url: str) -> dict[str, Any]:
    data = split_data_url(url)
    if data is not None:
        return {"inlineData": {"mimeType": data[0], "data": data[1]}}
    kind = mimetypes.guess_type(url.partition("?")[0])[0]
    return {"fileData": {"fileUri": url, **({"mimeType": kind} if kind else {})}}


def _generation_config(options: Options) -> dict[str, Any]:
    fields = options.fields
    config = {there: fields[here] for here, there in _CONFIG.items() if fields.get(here) is not None}
    if options.max_tokens is not None:
        config["maxOutputTokens"] = options.max_tokens
    if stop := stop_sequences(options):
        config["stopSequences"] = stop
    if (schema := json_schema(options)) is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    elif (wish := fields.get("response_format")) and wish.get("type") in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
    return config


def _tools(options: Options) -> dict[str, Any]:
    declarations = [
        {
            "name": function.get("name"),
            **({"description": function["description"]} if function.get("description") else {}),
            **({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {}),
        }
        for function in function_tools(options)
    ]
    if not declarations:
        return {}
    body: dict[str, Any] = {"tools": [{"functionDeclarations": declarations}]}
    choice = options.fields.get("tool_choice")
    if isinstance(choice, dict):
        names = [_function(choice).get("name")]
        body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": names}}
    elif choice in _MODES:
        body["toolConfig"] = {"functionCallingConfig": {"mode": _MODES[choice]}}
    return body


# --- back


def usage_of(usage: Any) -> Usage:
    """Thoughts count as output; a count that protobuf leaves out because it is 0 follows from the total."""
    if not isinstance(usage, dict):
        return Usage()
    prompt, thoughts = count(usage.get("promptTokenCount")), count(usage.get("thoughtsTokenCount"))
    into = None if prompt is None else prompt + (count(usage.get("toolUsePromptTokenCount")) or 0)
    said, total = count(usage.get("candidatesTokenCount")), count(usage.get("totalTokenCount"))
    out = None if said is None else said + (thoughts or 0)
    if out is None and total is not None and into is not None:
        out = total - into
    return Usage(
        prompt_tokens=into,
        completion_tokens=out,
        cached_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


def parts_of(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def tool_call(part: Mapping[str, Any], number: int) -> dict[str, Any]:
    """OpenAI's tool call for a functionCall part; Gemini gives no id of its own as a rule."""
    call = part["functionCall"]
    body: dict[str, Any] = {
        "id": call.get("id") or f"call_{number}_{call.get('name')}",
        "type": "function",
        "function": {"name": call.get("name"), "arguments": json_text(call.get("args") or {})},
    }
    if signature := part.get("thoughtSignature"):
        # Must come back with the call; this is where Google's own OpenAI-shaped API keeps it.
        body["extra_content"] = {"google": {"thought_signature": signature}}
    return body


def is_call(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("functionCall"), dict)


def finish_reason(reason: Any, *, has_calls: bool) -> str:
    if str(reason) in _BLOCKED:
        return "content_filter"
    if reason == "MAX_TOKENS":
        return "length"
    return "tool_calls" if has_calls else "stop"


def choice_of(candidate: Mapping[str, Any], index: int) -> dict[str, Any]:
    """OpenAI's choice for a finished candidate."""
    parts = parts_of(candidate)
    calls = [tool_call(part, number) for number, part in enumerate(filter(is_call, parts))]
    return {
        "index": index,
        "message": message_body(
            "".join(str(part.get("text", "")) for part in parts if not part.get("thought")),
            reasoning="".join(str(part.get("text", "")) for part in parts if part.get("thought")),
            tool_calls=calls,
        ),
        "finish_reason": finish_reason(candidate.get("finishReason"), has_calls=bool(calls)),
    }


def blocked_choice() -> dict[str, Any]:
    """The choice of a prompt that was refused before anything was generated."""
    return {"index": 0, "message": message_body(""), "finish_reason": "content_filter"}


def token_logprobs(candidate: Mapping[str, Any]) -> tuple[TokenLogprob, ...] | None:
    """`logprobsResult`, normalised; None where there is none or it cannot be read."""
    try:
        result = candidate["logprobsResult"]
        tops = result.get("topCandidates") or [{}] * len(result["chosenCandidates"])
        return tuple(
            TokenLogprob(
                chosen["token"],
                float(chosen["logProbability"]),
                tuple((item["token"], float(item["logProbability"])) for item in top.get("candidates", ())),
            )
            for chosen, top in zip(result["chosenCandidates"], tops, strict=True)
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
