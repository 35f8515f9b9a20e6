"""Gemini's generateContent, both ways, on replies as its reference shows them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenes
from asking import KEY, ask, decoded
from suffice.errors import (
    ContextOverflow,
    ProviderAuthError,
    ProviderError,
    ProviderGarbage,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from suffice.providers.gemini import GeminiReader
from suffice.providers.gemini_shape import request_body, usage_of
from suffice.types import Options, TokenLogprob, Usage

USER = {"role": "user", "content": "hi"}
USAGE = {
    "promptTokenCount": 8,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 20,
    "cachedContentTokenCount": 2,
    "totalTokenCount": 32,
}


def candidate(*parts: dict[str, Any], reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    finish = {"finishReason": reason} if reason else {}
    return {"content": {"role": "model", "parts": list(parts)}, "index": 0, **finish, **fields}


def response(*candidates: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "candidates": list(candidates),
        "usageMetadata": USAGE,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
        **fields,
    }


HELLO = response(candidate({"text": "Hel"}, {"text": "lo"}))
PATH = {"provider": "gemini", "path": "/v1beta"}


def body_of(messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return request_body(messages, Options(fields=fields), candidate="small")


def test_an_answer() -> None:
    asked = ask(scenes.reply(HELLO), {"max_tokens": 20}, **PATH)
    request = asked.upstream.requests[0]
    assert request.path == "/v1beta/models/m-1:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    assert asked.sent == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"maxOutputTokens": 20},
    }
    answer = asked.answer
    assert answer is not None
    assert (answer.content, answer.finish_reason) == ("Hello", "stop")
    assert answer.usage == Usage(prompt_tokens=8, completion_tokens=24, cached_tokens=2, reasoning_tokens=20)
    assert answer.cost_usd == Decimal("0.000256")
    assert answer.body is not None
    body = json.loads(answer.body)
    assert (body["object"], body["id"], body["model"]) == ("chat.completion", "r1", "gemini-2.5-flash")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 20}


def test_a_base_url_may_lack_the_version() -> None:
    for path in ("", "/", "/v1beta", "/v1beta/"):
        asked = ask(scenes.reply(HELLO), provider="gemini", path=path)
        assert asked.upstream.requests[0].path == "/v1beta/models/m-1:generateContent"


def test_usage() -> None:
    assert usage_of(None) == usage_of([]) == usage_of({}) == Usage()
    # A zero is left out on the wire.
    none_said = usage_of({"promptTokenCount": 8, "thoughtsTokenCount": 5, "totalTokenCount": 13})
    assert none_said == Usage(prompt_tokens=8, completion_tokens=5, reasoning_tokens=5)
    assert usage_of({"promptTokenCount": 8}).completion_tokens is None
    with_tools = {"promptTokenCount": 8, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 1}
    assert usage_of(with_tools).prompt_tokens == 11


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons(theirs: str, ours: str) -> None:
    answer = ask(scenes.reply(response(candidate({"text": "a"}, reason=theirs))), **PATH).answer
    assert answer is not None
    assert answer.finish_reason == ours


def test_a_refused_prompt_is_a_filtered_answer() -> None:
    refused = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}}
    answer = ask(scenes.reply(refused), **PATH).answer
    assert answer is not None
    assert (answer.content, answer.finish_reason) == ("", "content_filter")
    asked = ask(scenes.sse([refused], done=False), stream=True, **PATH)
    assert asked.error is None
    assert "content_filter" in [chunk.finish_reason for chunk in asked.chunks]
    cut_short = response({"finishReason": "SAFETY", "index": 0})
    answer = ask(scenes.reply(cut_short), **PATH).answer
    assert answer is not None
    assert (answer.content, answer.finish_reason) == ("", "content_filter")


CALL = {
    "id": "call_0_weather",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Ulm"}'},
    "extra_content": {"google": {"thought_signature": "sig"}},
}
CALL_PART = {"functionCall": {"name": "weather", "args": {"city": "Ulm"}}, "thoughtSignature": "sig"}


def test_tool_calls_and_thoughts_come_back() -> None:
    parts = ({"text": "Hm", "thought": True}, CALL_PART)
    answer = ask(scenes.reply(response(candidate(*parts))), **PATH).answer
    assert answer is not None
    assert answer.finish_reason == "tool_calls"
    assert list(answer.tool_calls) == [CALL]
    assert answer.body is not None
    said = json.loads(answer.body)["choices"][0]["message"]
    assert (said["content"], said["reasoning_content"]) == (None, "Hm")


def test_logprobs() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "tokenId": 1, "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.5}]}],
    }
    reply = response(candidate({"text": "a"}, logprobsResult=result))
    asked = ask(scenes.reply(reply), {"logprobs": True, "top_logprobs": 1}, **PATH)
    assert asked.sent["generationConfig"] == {"responseLogprobs": True, "logprobs": 1}
    answer = asked.answer
    assert answer is not None
    assert answer.logprobs == (TokenLogprob("a", -0.5, (("a", -0.5),)),)
    assert answer.body is not None
    entry = json.loads(answer.body)["choices"][0]["logprobs"]["content"][0]
    assert (entry["token"], entry["logprob"], entry["bytes"]) == ("a", -0.5, [97])
    without = ask(scenes.reply(HELLO), {"logprobs": True}, **PATH).answer
    assert without is not None
    assert without.no_logprobs == "the provider returned none"


def test_a_whole_conversation_is_translated() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png?x=1"}},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_0_weather", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_0_weather", "content": '{"sky": "blue"}'},
        {"role": "user", "content": "thanks"},
    ]  # fmt: skip
    body = body_of(messages)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [
            {"text": "look"},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            {"fileData": {"fileUri": "https://example.com/a.png?x=1", "mimeType": "image/png"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "BBBB"}},
        ]},
        {"role": "model", "parts": [CALL_PART]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"result": "sunny"}}},
            {"functionResponse": {"name": "weather", "response": {"sky": "blue"}}},
            {"text": "thanks"},
        ]},
    ]  # fmt: skip


def test_options_are_translated() -> None:
    schema = {"type": "object", "properties": {}}
    wish = {"type": "json_schema", "json_schema": {"schema": schema}}
    body = body_of(
        [USER],
        temperature=0.3,
        top_p=0.5,
        n=2,
        seed=1,
        stop="END",
        response_format=wish,
        safetySettings=[1],
        user="u",
    )
    assert body["generationConfig"] == {
        "temperature": 0.3,
        "topP": 0.5,
        "candidateCount": 2,
        "seed": 1,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    assert body["safetySettings"] == [1]
    assert "user" not in body
    mode = body_of([USER], response_format={"type": "json_object"})["generationConfig"]
    assert mode == {"responseMimeType": "application/json"}
    assert "generationConfig" not in body_of([USER], response_format={"type": "text"})


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        (
            {"type": "function", "function": {"name": "weather"}},
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_tools(choice: Any, there: Any) -> None:
    function = {"name": "weather", "description": "Now", "parameters": {"type": "object"}}
    body = body_of([USER], tools=[{"type": "function", "function": function}], tool_choice=choice)
    declaration = {"name": "weather", "description": "Now", "parametersJsonSchema": {"type": "object"}}
    assert body["tools"] == [{"functionDeclarations": [declaration]}]
    assert body.get("toolConfig", {}).get("functionCallingConfig") == there


def test_several_candidates() -> None:
    two = [candidate({"text": "a"}), candidate({"text": "b"}, index=1)]
    answer = ask(scenes.reply(response(*two)), {"n": 2}, **PATH).answer
    assert answer is not None
    assert answer.content == "a"
    assert answer.body is not None
    assert [choice["message"]["content"] for choice in json.loads(answer.body)["choices"]] == ["a", "b"]


# --- streams

PIECES = [
    response(candidate({"text": "Hm", "thought": True}, reason=None), usageMetadata={"promptTokenCount": 8}),
    response(candidate({"text": "Hel"}, reason=None)),
    response(candidate({"text": "lo ü"}), usageMetadata=USAGE),
]


def test_a_stream() -> None:
    asked = ask(scenes.sse(PIECES, done=False), stream=True, **PATH)
    assert asked.upstream.requests[0].path == "/v1beta/models/m-1:streamGenerateContent?alt=sse"
    assert asked.error is None
    assert asked.text == "Hello ü"
    shown = [decoded(chunk) for chunk in asked.chunks if chunk.data]
    assert shown[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert shown[1]["choices"][0]["delta"] == {"reasoning_content": "Hm"}
    assert shown[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in chunk for chunk in shown)
    assert asked.chunks[-1].usage is not None
    assert asked.chunks[-1].usage.completion_tokens == 24
    wish = {"stream_options": {"include_usage": True}}
    kept = ask(scenes.sse(PIECES, done=False), wish, stream=True, **PATH)
    with_usage = [chunk for chunk in kept.chunks if b'"usage"' in chunk.data]
    assert len(with_usage) == 1
    assert decoded(with_usage[0])["usage"]["total_tokens"] == 32


def test_streamed_tool_calls_and_line_ends() -> None:
    reply = json.dumps(response(candidate(CALL_PART, CALL_PART))).encode()
    asked = ask(scenes.sse([b"data: %b\r\n\r\n" % reply], done=False), stream=True, **PATH)
    calls = [
        call
        for chunk in asked.chunks
        if chunk.data
        for choice in decoded(chunk)["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    second = {**CALL, "index": 1, "id": "call_1_weather"}
    assert calls == [{**CALL, "index": 0}, second]
    assert "tool_calls" in [chunk.finish_reason for chunk in asked.chunks]


FAILURES: dict[str, tuple[int, str, str, type[ProviderError]]] = {
    "rate": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", ProviderRateLimited),
    "full": (503, "UNAVAILABLE", "The model is overloaded.", ProviderUnavailable),
    "late": (504, "DEADLINE_EXCEEDED", "Deadline expired", ProviderTimeout),
    "invalid": (400, "INVALID_ARGUMENT", "Invalid value at contents", ProviderRejected),
    "permission": (403, "PERMISSION_DENIED", "no", ProviderAuthError),
    "model": (404, "NOT_FOUND", "models/x is not found", ProviderRejected),
    "broken": (500, "INTERNAL", "An internal error", ProviderUnavailable),
    "overflow": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
        ContextOverflow,
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(name: str) -> None:
    code, state, said, expected = FAILURES[name]
    body = {"error": {"code": code, "message": said, "status": state}}
    for stream, shape in ((False, body), (True, body), (True, [body])):
        error = ask(scenes.reply(shape, code), stream=stream, **PATH).error
        assert type(error) is expected
        assert said in str(error)
    asked = ask(scenes.sse([PIECES[1], body], done=False), stream=True, **PATH)
    assert type(asked.error) is expected


def test_a_wrong_key_is_named_so() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
    assert type(ask(scenes.reply({"error": error}, 400), **PATH).error) is ProviderAuthError


def test_answers_and_streams_that_are_none() -> None:
    for scene in (scenes.reply({}), scenes.reply([]), scenes.reply(b"{"), scenes.html()):
        assert type(ask(scene, **PATH).error) is ProviderGarbage
    for events in (PIECES[:2], [PIECES[0], b"data: {\n\n"], [], [b"data: 3\n\n"]):
        asked = ask(scenes.sse(events, done=False), stream=True, **PATH)
        assert type(asked.error) is ProviderGarbage


NAMES = ["candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "finishReason",
         "index", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "error"]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(values)
def test_any_event_makes_chunks_or_a_provider_error(value: Any) -> None:
    reader = GeminiReader("small", keeps_usage=True)
    try:
        for chunk in reader.read(json.dumps(value).encode()):
            assert not chunk.data or json.loads(chunk.data)["object"] == "chat.completion.chunk"
    except ProviderError as error:
        assert error.candidate == "small"  # noqa: PT017  # either outcome is right
