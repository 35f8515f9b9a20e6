"""A provider with nothing behind it: a static answer, or 50 server-sent events, one write each.

python benchmarks/gateway/upstream.py PORT
"""

import asyncio
import json

import httptools

N_CHUNKS = 50
_USAGE = {"prompt_tokens": 60, "completion_tokens": 50, "total_tokens": 110}


def _completion() -> bytes:
    message = {"role": "assistant", "content": "The quick brown fox jumps over the lazy dog, and so on. " * 2}
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "mock",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _USAGE,
        "system_fingerprint": "fp_bench",
    }
    data = json.dumps(body, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(data),
        data,
    )


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "mock",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


COMPLETION = _completion()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = [
    *(_chunked(_event({"content": f" word{i}"}, None)) for i in range(N_CHUNKS - 1)),
    _chunked(_event({}, "stop")),
]
STREAM_END = _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """Answers as soon as a request is whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        is_stream = b'"stream":true' in self._body
        self._body = b""
        if not is_stream:
            self._transport.write(COMPLETION)
            return
        loop = asyncio.get_running_loop()
        self._transport.write(STREAM_HEAD)
        self._say(loop, 0)

    def _say(self, loop: asyncio.AbstractEventLoop, position: int) -> None:
        """One event a turn of the loop, so that each leaves in a write of its own."""
        if position < len(EVENTS):
            self._transport.write(EVENTS[position])
            loop.call_soon(self._say, loop, position + 1)
        else:
            self._transport.write(STREAM_END)
