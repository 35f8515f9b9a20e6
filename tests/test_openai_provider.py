"""OpenAI-shaped providers: what passes through, what is read, and every failure by its right name."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenes
from asking import KEY, ask, decoded
from leaks import run_clean
from suffice import providers
from suffice.errors import (
    ConfigError,
    ContextOverflow,
    ProviderAuthError,
    ProviderError,
    ProviderGarbage,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    UnknownName,
)
from suffice.providers import ProviderSettings, Secret
from suffice.providers.failures import failure, quote, retry_after_s
from suffice.providers.http import HttpClient
from suffice.providers.openai import BASE_URLS, OpenAIModel
from suffice.providers.openai_shape import ChunkReader, read_reply, usage_of
from suffice.types import Candidate, Options, Query, TokenLogprob, Usage
from upstream import Upstream

# --- answers


def test_an_answer_passes_through_whole() -> None:
    asked = ask(
        scenes.answer("hello", something_new={"a": 1}),
        {"temperature": 0, "vendor_field": [1], "stream": True, "stream_options": {}},
        headers={"X-Team": "blue"},
    )
    assert asked.sent == {
        "temperature": 0,
        "vendor_field": [1],
        "model": "m-1",
        "messages": [{"role": "user", "content": "hi"}],
    }
    request = asked.upstream.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-team"] == "blue"
    assert request.headers["content-type"] == "application/json"
    answer = asked.answer
    assert answer is not None
    assert (answer.content, answer.candidate, answer.finish_reason) == ("hello", "small", "stop")
    assert answer.usage == Usage(prompt_tokens=7, completion_tokens=5)
    assert answer.cost_usd == Decimal("0.000064")
    assert 0 < answer.latency_s < asked.took_s
    assert answer.body is not None
    assert json.loads(answer.body)["something_new"] == {"a": 1}
    assert answer.no_logprobs == "not asked for"


def test_usage_that_is_not_known_is_none() -> None:
    for usage in (None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many"}, "7", [1]):
        answer = ask(scenes.answer(usage=usage)).answer
        assert answer is not None
        assert answer.usage == Usage()
        assert answer.cost_usd is None


def test_usage_in_detail() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 6, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    answer = ask(scenes.answer(usage=usage)).answer
    assert answer is not None
    assert answer.usage == Usage(prompt_tokens=10, completion_tokens=4, cached_tokens=6, reasoning_tokens=3)
    deepseek = usage_of(
        read_reply(b'{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":8}}', candidate="")
    )
    assert deepseek == Usage(prompt_tokens=9, cached_tokens=8)


def test_tool_calls_and_contents_in_parts() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = ask(scenes.answer(message={"content": None, "tool_calls": [call]}))
    assert asked.answer is not None
    assert (asked.answer.content, list(asked.answer.tool_calls)) == ("", [call])
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}]
    asked = ask(scenes.answer(message={"content": parts}))
    assert asked.answer is not None
    assert asked.answer.content == "a"


def test_logprobs_are_normalised() -> None:
    entries = [
        {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -2}]},
        {"token": "b", "logprob": 0},
    ]

    def body(logprobs: Any) -> scenes.Scene:
        return scenes.answer(choices=[{"message": {"content": "ab"}, "logprobs": logprobs}])

    answer = ask(body({"content": entries}), {"logprobs": True}).answer
    assert answer is not None
    assert answer.logprobs == (TokenLogprob("a", -0.1, (("b", -2.0),)), TokenLogprob("b", 0.0))
    assert answer.no_logprobs is None
    for odd in (None, {}, {"content": None}, {"content": [{"token": "a"}]}, {"content": [1]}, "x"):
        answer = ask(body(odd), {"logprobs": True}).answer
        assert answer is not None
        assert answer.logprobs is None
        assert answer.no_logprobs == "the provider returned none"


# --- streams


def test_a_stream_without_asking_for_usage() -> None:
    asked = ask(scenes.stream(("he", "llo")), stream=True)
    assert asked.sent["stream"] is True
    assert asked.sent["stream_options"] == {"include_usage": True}
    assert asked.text == "hello"
    assert [chunk.has_content for chunk in asked.chunks] == [False, True, True, False, False]
    assert [chunk.finish_reason for chunk in asked.chunks] == [None, None, None, "stop", None]
    assert all(b"usage" not in chunk.data for chunk in asked.chunks)
    assert asked.chunks[-1].data == b""
    assert asked.chunks[-1].usage == Usage(prompt_tokens=7, completion_tokens=5)


def test_a_stream_with_usage_asked_for() -> None:
    wish = {"stream_options": {"include_usage": True, "include_obfuscation": False}}
    asked = ask(scenes.stream(), wish, stream=True)
    assert asked.sent["stream_options"] == wish["stream_options"]
    assert decoded(asked.chunks[-1])["usage"]["prompt_tokens"] == 7
    assert asked.chunks[-1].usage == Usage(prompt_tokens=7, completion_tokens=5)


def test_usage_next_to_content_is_read_and_taken_out() -> None:
    last = scenes.delta("lo", "stop", usage=scenes.USAGE, extra=1)
    events = [scenes.delta("hel", usage=None), last]
    asked = ask(scenes.sse(events), stream=True)
    assert asked.text == "hello"
    assert decoded(asked.chunks[-1]) == {k: v for k, v in last.items() if k != "usage"}
    assert asked.chunks[-1].usage is not None
    kept = ask(scenes.sse(events), {"stream_options": {"include_usage": True}}, stream=True)
    assert decoded(kept.chunks[-1]) == last


def test_null_usage_is_cut_out_of_every_chunk_and_out_of_nothing_else() -> None:
    reader = ChunkReader("small", keeps_usage=False)
    said = json.dumps({"choices": [{"delta": {"content": ',"usage":null'}}]}, separators=(",", ":"))
    (chunk,) = reader.read(said[:-1].encode() + b',"usage":null}')
    assert chunk.data == said.encode()
    assert chunk.text == ',"usage":null'


def test_the_last_of_several_usages_is_the_whole() -> None:
    first, last = ({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": n}} for n in (1, 5))
    asked = ask(scenes.sse([*scenes.completion_events(["x"], usage=None), first, last]), stream=True)
    usages = [chunk.usage for chunk in asked.chunks if chunk.usage is not None]
    assert usages[-1] == Usage(prompt_tokens=7, completion_tokens=5)
    assert all(chunk.data == b"" for chunk in asked.chunks if chunk.usage is not None)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"refusal": "x"},
        {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
        {"function_call": {"name": "f"}},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_what_counts_as_content(delta: dict[str, Any]) -> None:
    reader = ChunkReader("small", keeps_usage=True)
    (silent,) = reader.read(b'{"choices":[{"delta":{"role":"assistant","content":"","tool_calls":[]}}]}')
    (chunk,) = reader.read(json.dumps({"choices": [{"delta": delta}]}).encode())
    assert not silent.has_content
    assert chunk.has_content


def test_events_without_choices_pass() -> None:
    """Azure begins with the results of its prompt filter."""
    first = {"choices": [], "prompt_filter_results": []}
    asked = ask(
        scenes.sse([first, b": ping\n\n", b"data:\n\n", *scenes.completion_events(["x"])]), stream=True
    )
    assert decoded(asked.chunks[0]) == first
    assert asked.text == "x"


def test_streamed_logprobs() -> None:
    event = scenes.delta("a")
    event["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": []}]}
    asked = ask(scenes.sse([event]), stream=True)
    assert asked.chunks[0].logprobs == (TokenLogprob("a", -1.0),)


def test_split_utf8_and_any_line_ends() -> None:
    assert ask(scenes.split_utf8("grün €uro 日本"), stream=True).text == "grün €uro 日本"
    crlf = [b"\xef\xbb\xbfdata: %b\r\n\r\n" % json.dumps(scenes.delta("a")).encode(), b"data: [DONE]"]
    assert ask(scenes.sse(crlf, done=False), stream=True).text == "a"


def test_a_stream_may_lack_done_once_it_has_finished() -> None:
    asked = ask(scenes.stream(("a", "b"), done=False), stream=True)
    assert asked.error is None
    assert asked.text == "ab"


def test_streams_keep_their_connection() -> None:
    async def main() -> None:
        async with Upstream() as upstream, HttpClient() as http:
            model = openai_model(upstream.url, http)
            for _ in range(3):
                assert [chunk async for chunk in model.stream(Query(text="hi"), Options())]
                await asyncio.sleep(0.02)  # the body's end may come after [DONE]
                await model.answer(Query(text="hi"), Options())
            assert upstream.n_connections == 1

    run_clean(main)


def openai_model(url: str, http: HttpClient) -> OpenAIModel:
    return OpenAIModel.from_config(
        Candidate(name="small", provider="openai", model="m-1"), ProviderSettings(base_url=url), http
    )


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_leaving_a_stream_stops_the_provider(how: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.stream(["x"] * 1000, delay_s=0.01))
        async with upstream, HttpClient() as http:
            chunks = openai_model(upstream.url, http).stream(Query(text="hi"), Options())
            if how == "close":
                await anext(chunks)
                await chunks.aclose()  # type: ignore[attr-defined]
            else:
                task = asyncio.ensure_future(_collect(chunks))
                await asyncio.sleep(0.1)
                task.cancel()
            assert await upstream.hangups(1, within_s=1.0)

    run_clean(main)


async def _collect(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


def chunk_bytes(text: str, **fields: Any) -> bytes:
    event = {
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        **fields,
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.text(max_size=6) | st.sampled_from(['"', "\\", '","x":"', "\n", "\x7f", "é", ""]), max_size=6
    ),
    st.sampled_from([{}, {"usage": None}, {"usage": None, "obfuscation": "abc"}, {"content": "x"}]),
    st.booleans(),
)
def test_chunks_known_by_their_frame_are_read_as_if_decoded(
    texts: list[str], fields: dict[str, Any], keeps_usage: bool
) -> None:
    texts = [text.encode(errors="ignore").decode() for text in texts]
    reader = ChunkReader("small", keeps_usage=keeps_usage)
    for i, text in enumerate(["hello", *texts]):
        event = chunk_bytes(text, **fields, **({"nonce": i} if i % 3 == 2 else {}))
        chunk = (reader.frame and reader.frame.chunk(event)) or reader.read(event)[0]
        (alone,) = ChunkReader("small", keeps_usage=keeps_usage).read(event)
        assert chunk == alone
        assert chunk.text == text


def test_tokens_may_come_in_any_pieces() -> None:
    """Whole events, halves, several at once, with other line ends: the text is the same."""
    texts = ["a", "b", "c", "d", "e", "f", "g"]
    events = [b"data: %b\n\n" % chunk_bytes(text, usage=None) for text in texts]
    whole = b"".join(events)
    for pieces in (
        events,
        [events[0], events[1], events[2][:40], events[2][40:], *events[3:]],
        [events[0], events[1] + events[2], *events[3:]],
        [events[0], events[1][:-1], events[1][-1:] + events[2], *events[3:]],
        [events[0][:-2] + b"\r", b"\r", *events[1:3], b"\n", *events[3:]],
        [event.replace(b"\n", b"\r\n") for event in events],
        [whole[i : i + 7] for i in range(0, len(whole), 7)],
    ):
        asked = ask(scenes.sse(pieces, delay_s=0.002), stream=True)
        assert asked.error is None
        assert [chunk.text for chunk in asked.chunks] == texts
        assert {decoded(chunk)["id"] for chunk in asked.chunks} == {"c"}


def test_a_frame_recognises_nothing_but_text() -> None:
    reader = ChunkReader("small", keeps_usage=False)
    first = chunk_bytes("a", usage=None)
    reader.read(first)
    frame = reader.frame
    assert frame is not None
    known = frame.chunk(chunk_bytes("b c", usage=None))
    assert known is not None
    assert (known.text, known.data) == ("b c", chunk_bytes("b c"))
    for other in (
        b'"\xff"',
        b'"\x00"',
        b'""',
        b'"b\\u0041"',
        b'"b","refusal":"c"',
        b'"b"},"x":{"y":"c"',
        b"null",
    ):
        assert frame.chunk(first.replace(b'"a"', other)) is None
    assert frame.chunk(chunk_bytes("a", usage=scenes.USAGE)) is None
    assert frame.chunk(b"") is None


# --- failures

OVERFLOWS = {
    "OpenAI": (400, {"code": "context_length_exceeded"}, "too long"),
    "vLLM": (
        400,
        {"code": 400},
        "This model's maximum context length is 4096 tokens. However, you",
    ),
    "vLLM prompt": (
        400,
        {},
        "The decoder prompt (5000) is longer than the maximum model length of 4096.",
    ),
    "Ollama": (400, {}, "the input length exceeds the context length"),
    "llama.cpp": (
        400,
        {"type": "exceed_context_size_error"},
        "the request exceeds the available context size, try increasing it",
    ),
    "Anthropic": (400, {}, "prompt is too long: 208310 tokens > 200000 maximum"),
    "Anthropic output": (
        400,
        {},
        "input length and `max_tokens` exceed context limit: 190000 + 20000",
    ),
    "Gemini": (
        400,
        {},
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "Groq": (413, {}, "Please reduce the length of the messages or completion."),
    "Together": (422, {}, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097"),
    "as 500": (500, {}, "the prompt exceeds the context window"),
}


@pytest.mark.parametrize("name", OVERFLOWS)
def test_context_overflow(name: str) -> None:
    code, error, message = OVERFLOWS[name]
    for stream in (False, True):
        asked = ask(scenes.status(code, message, error=error), stream=stream)
        assert type(asked.error) is ContextOverflow
        assert asked.error.upstream_status == code


STATUSES: dict[int, type[ProviderError]] = {
    301: ProviderGarbage,
    400: ProviderRejected,
    401: ProviderAuthError,
    402: ProviderAuthError,
    403: ProviderAuthError,
    404: ProviderRejected,
    405: ProviderRejected,
    408: ProviderTimeout,
    409: ProviderUnavailable,
    413: ContextOverflow,
    415: ProviderRejected,
    422: ProviderRejected,
    425: ProviderUnavailable,
    429: ProviderRateLimited,
    500: ProviderUnavailable,
    502: ProviderUnavailable,
    503: ProviderUnavailable,
    504: ProviderTimeout,
    529: ProviderUnavailable,
    599: ProviderUnavailable,
}


@pytest.mark.parametrize("stream", [False, True])
def test_statuses(stream: bool) -> None:
    for code, kind in STATUSES.items():
        for scene in (scenes.status(code, "because"), scenes.html(code), scenes.reply(b"", code)):
            error = ask(scene, stream=stream).error
            assert type(error) is kind, code
            assert error.upstream_status == code
            assert str(error).startswith(f"small: the provider answered {code}")
            assert "<html" not in str(error)


def test_retry_after() -> None:
    asked = ask(scenes.status(429, retry_after="3"))
    assert asked.error is not None
    assert asked.error.retry_after_s == 3.0
    assert ask(scenes.status(503, retry_after="1.5"), stream=True).error.retry_after_s == 1.5  # type: ignore[union-attr]
    assert ask(scenes.status(429)).error.retry_after_s is None  # type: ignore[union-attr]
    in_a_minute = formatdate(time.time() + 60, usegmt=True).encode()
    seconds = retry_after_s({b"retry-after": in_a_minute})
    assert seconds is not None
    assert 57 < seconds <= 60
    assert retry_after_s({b"retry-after": formatdate(time.time() - 60, usegmt=True).encode()}) == 0.0
    assert retry_after_s({b"retry-after-ms": b"250", b"retry-after": b"1"}) == 0.25
    for odd in (b"", b"soon", b"nan", b"inf", b"Wed, 99 Foo 2024", b"\xff"):
        assert retry_after_s({b"retry-after": odd}) is None
    assert retry_after_s({b"retry-after": b"-5"}) == 0.0


def test_an_empty_account_is_not_a_rate_limit() -> None:
    error = ask(scenes.status(429, "You exceeded your quota", error={"code": "insufficient_quota"})).error
    assert type(error) is ProviderAuthError
    assert not error.is_retryable


@pytest.mark.parametrize("stream", [False, True])
def test_no_secret_is_ever_quoted(stream: bool) -> None:
    others = (
        "sk-proj-abcdefghijkl",
        "AIzaSyA1234567890abcdef",
        "0123456789abcdef0123456789abcdef",
        "hf_abcdefgh",
    )
    message = f"Incorrect key {KEY}, Bearer tok.en/123 and {' '.join(others)}\r\nX: y" + " and so on" * 100
    for scene in (
        scenes.status(401, message),
        scenes.reply(message.encode(), 500, "text/plain"),
        scenes.reply(message.encode(), 200, "text/plain"),
        scenes.reply({"error": {"message": message}}),
    ):
        error = ask(scene, stream=stream).error
        assert error is not None
        assert not any(secret in str(error) for secret in (KEY, "tok.en/123", *others))
        assert "Incorrect key ***" in str(error)
        assert "\n" not in str(error)
        assert len(str(error)) < 500


GARBAGE: dict[str, tuple[scenes.Scene, str]] = {
    "html": (scenes.html(), "text/html"),
    "wrong content type": (scenes.reply(b"hello", 200, "text/plain"), "text/plain"),
    "bad json": (scenes.reply(b'{"choices": ['), "not JSON"),
    "no json": (scenes.reply(b""), "not JSON"),
    "not utf-8": (scenes.reply(b'{"choices": "\xff"}'), "not JSON"),
    "a list": (scenes.reply([]), "not an object"),
    "deep": (scenes.reply(b'{"choices":' + b"[" * 100_000), "not JSON"),
    "no choices": (scenes.reply({"choices": []}), "no choice"),
    "no message": (scenes.reply({"choices": [{}]}), "no choice"),
    "error body": (scenes.reply({"error": {"message": "broken", "code": "x"}}), "broken"),
    "error text": (scenes.reply({"error": "broken"}), "broken"),
    "vLLM error": (scenes.reply({"object": "error", "message": "broken", "code": 40303}), "broken"),
    "gzip bomb": (scenes.gzip_bomb(1_000_000), "gzip"),
    "cut": (
        scenes.hang_up(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"),
        "closed in the middle",
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_answers_that_are_none(name: str) -> None:
    scene, said = GARBAGE[name]
    error = ask(scene).error
    assert type(error) is ProviderGarbage
    assert said in str(error)
    assert error.is_retryable


STREAM_GARBAGE: dict[str, tuple[scenes.Scene, str]] = {
    "cut": (scenes.sse([scenes.delta("a")], done=False, cut=True), "closed in the middle"),
    "cut with a proper end": (scenes.sse([scenes.delta("a")], done=False), "cut before its end"),
    "cut in an event": (scenes.sse([scenes.delta("a"), b'data: {"cho'], done=False), "not JSON"),
    "nothing": (scenes.sse([], done=False), "cut before its end"),
    "bad json": (scenes.sse([scenes.delta("a"), b"data: {x}\n\n"]), "not JSON"),
    "not utf-8": (scenes.sse([b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n']), "not JSON"),
    "error event": (scenes.sse([scenes.delta("a"), {"error": {"message": "broken"}}]), "broken"),
    "html": (scenes.html(), "text/html"),
    "an answer instead": (scenes.answer("a"), "application/json"),
    "error body": (scenes.reply({"error": {"message": "broken"}}), "broken"),
    "gzip": (scenes.gzip_bomb(1_000_000), "gzip"),
    "endless line": (scenes.huge_line(), "longer than"),
}


@pytest.mark.parametrize("name", STREAM_GARBAGE)
def test_streams_that_are_none(name: str) -> None:
    scene, said = STREAM_GARBAGE[name]
    asked = ask(scene, stream=True)
    assert type(asked.error) is ProviderGarbage
    assert said in str(asked.error)
    assert str(asked.error).startswith("small: ")
    assert asked.took_s < 5.0
    assert asked.upstream.n_open == 0 or asked.took_s < 0.5


def test_an_error_inside_a_200_says_what_it_is() -> None:
    limited = {"error": {"message": "slow down", "code": 429}}
    full = {"error": {"message": "x", "type": "overloaded_error"}}
    long = {"error": {"message": "This model's maximum context length is 10 tokens", "code": "invalid"}}
    for body, kind in ((limited, ProviderRateLimited), (full, ProviderUnavailable), (long, ContextOverflow)):
        assert type(ask(scenes.reply(body)).error) is kind
        assert type(ask(scenes.reply(body), stream=True).error) is kind
        asked = ask(scenes.sse([scenes.delta("a"), body]), stream=True)
        assert type(asked.error) is kind
        assert asked.text == "a"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (scenes.stall(), ProviderTimeout),
        (scenes.stall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"), ProviderTimeout),
        (scenes.drip(delay_s=0.05), ProviderTimeout),
        (scenes.hang_up(), ProviderUnavailable),
        (scenes.hang_up(reset=True), ProviderUnavailable),
        (scenes.reset_after_headers(), ProviderUnavailable),
    ],
)
def test_silence_and_loss(scene: scenes.Scene, kind: type[ProviderError], stream: bool) -> None:
    asked = ask(scene, stream=stream, timeout_s=0.4)
    assert type(asked.error) is kind
    assert asked.took_s <= 0.4 + 0.25
    assert len(asked.upstream.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_more_time_of_the_request_does_not_lengthen_the_candidates_own(stream: bool) -> None:
    asked = ask(scenes.stall(), stream=stream, timeout_s=5.0, own_timeout_s=0.3)
    assert type(asked.error) is ProviderTimeout
    assert asked.took_s < 1


def test_a_stalled_stream_fails_after_what_it_said() -> None:
    async def stall(request: scenes.Received, writer: asyncio.StreamWriter) -> None:
        await scenes.stall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
            b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
        )(request, writer)

    asked = ask(stall, stream=True, chunk_timeout_s=0.2)
    assert asked.text == "a"
    assert type(asked.error) is ProviderTimeout
    assert asked.took_s < 0.45
    asked = ask(scenes.stream(["x"] * 100, delay_s=0.05), stream=True, timeout_s=0.4)
    assert type(asked.error) is ProviderTimeout
    assert 0 < len(asked.chunks) < 12
    assert asked.took_s < 0.65


def test_a_request_that_is_no_json_is_rejected() -> None:
    error = ask(scenes.good(), {"x": object()}).error
    assert type(error) is ProviderRejected
    error = ask(scenes.good(), messages=[{"role": "user", "content": "\ud800"}], stream=True).error
    assert type(error) is ProviderRejected


@settings(max_examples=300, deadline=None)
@given(
    st.integers(200, 599),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "code", "type", "status", "details", "reason", "detail"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
)
def test_any_error_body_makes_an_error(status: int, body: Any) -> None:
    error = failure(status, {}, json.dumps(body).encode(), candidate="small")
    assert isinstance(error, ProviderError)
    assert len(str(error)) < 500


@settings(max_examples=1_000, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "usage", "index", "finish_reason", "logprobs",
                 "tool_calls", "prompt_tokens", "prompt_tokens_details", "text", "object", "error"]
            ),
            inner,
            max_size=5,
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60),
    st.booleans(),
)  # fmt: skip
def test_any_event_makes_chunks_or_a_provider_error(event: bytes, keeps_usage: bool) -> None:
    reader = ChunkReader("small", keeps_usage=keeps_usage)
    try:
        for chunk in reader.read(event):
            assert isinstance(chunk.text, str)
    except ProviderError as error:
        assert error.candidate == "small"  # noqa: PT017  # either outcome is right


# --- settings


def test_secrets_do_not_show() -> None:
    secret = Secret("abc")
    settings = ProviderSettings(api_key=secret)
    assert "abc" not in f"{secret} {secret!r} {settings} {settings!r}"
    assert secret.reveal() == "abc"
    assert secret == Secret("abc") != Secret("b")
    assert not Secret("")
    assert quote("key abc", "abc") == "key ***"


def build(provider: str, **fields: Any) -> Callable[[], Any]:
    candidate = Candidate(name="small", provider=provider, model="m-1/x")
    return lambda: providers.get(provider).from_config(candidate, ProviderSettings(**fields), HttpClient())


@pytest.mark.parametrize("provider", sorted(BASE_URLS))
def test_presets(provider: str) -> None:
    model = build(provider)()
    assert isinstance(model, OpenAIModel)
    assert BASE_URLS[provider].split("://")[1].split("/")[0].split(":")[0] == model._target.host
    assert b"authorization" not in model._target.head
    assert provider in providers.available()


def test_azure() -> None:
    asked = ask(scenes.good(), provider="azure", path="", extra={"api_version": "2025-01-01"})
    request = asked.upstream.requests[0]
    assert request.path == "/openai/deployments/m-1/chat/completions?api-version=2025-01-01"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    asked = ask(scenes.good(), provider="azure", path="/openai/v1")
    assert asked.upstream.requests[0].path == "/openai/v1/chat/completions"
    with pytest.raises(ConfigError, match="base_url"):
        build("azure")()


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ConfigError):
        build("openai", base_url="localhost:8000")()
    with pytest.raises(ConfigError):
        build("openai", api_key=Secret("a\r\nx: y"))()
    with pytest.raises(ConfigError):
        build("openai", headers={"content-length": "3"})()
    with pytest.raises(UnknownName):
        providers.get("nobody")
