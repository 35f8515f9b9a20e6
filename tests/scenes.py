"""What `Upstream` can play: good responses, and every way of failing.

A scene is a coroutine function of (request, writer). One that returns keeps the connection open.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple


class Received(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


Scene = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


class HangUp(Exception):  # a scene's last word, not an error
    """Close the connection once everything is written."""


USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


# --- well-formed responses


def reply(
    body: bytes | Any, status: int = 200, content_type: str = "application/json", **headers: str
) -> Scene:
    """Any response with a body; what is not bytes becomes JSON. `retry_after="3"` is a header."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n{extra}\r\n"
    )
    return raw(head.encode() + data)


def answer(text: str = "hello", *, delay_s: float = 0.0, **fields: Any) -> Scene:
    """A chat completion; `fields` replace those of the body, `message` those of the message."""
    message = {"role": "assistant", "content": text, **fields.pop("message", {})}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "upstream-model",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": USAGE,
        **fields,
    }

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay_s)
        await reply(body)(request, writer)

    return play


def good(text: str = "hello") -> Scene:
    """An answer or a stream, as the request asks."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        wants_stream = request.json.get("stream")
        half = len(text) // 2
        scene = stream((text[:half], text[half:])) if wants_stream else answer(text)
        await scene(request, writer)

    return play


def status(code: int, message: str = "no", *, error: dict[str, Any] | None = None, **headers: str) -> Scene:
    """An OpenAI-shaped failure."""
    return reply({"error": {"message": message, "type": "test", **(error or {})}}, code, **headers)


def delta(content: str | None = None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chat.completion.chunk."""
    piece = {k: v for k, v in {"content": content, **fields.pop("delta", {})}.items() if v is not None}
    choice = {"index": 0, "delta": piece, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **fields}


def completion_events(texts: Iterable[str], *, usage: dict[str, Any] | None = USAGE) -> list[Any]:
    """The events of a whole stream but its [DONE]."""
    events: list[Any] = [delta("", delta={"role": "assistant"}), *(delta(text) for text in texts)]
    events.append(delta(finish_reason="stop"))
    if usage is not None:
        events.append({**delta(), "choices": [], "usage": usage})
    return events


def stream(
    texts: Sequence[str] = ("hel", "lo"),
    *,
    usage: dict[str, Any] | None = USAGE,
    delay_s: float = 0.0,
    done: bool = True,
) -> Scene:
    """A streamed chat completion, one event per text."""
    return sse(completion_events(texts, usage=usage), delay_s=delay_s, done=done)


def sse(
    events: Sequence[Any], *, delay_s: float = 0.0, done: bool = True, cut: bool = False, reset: bool = False
) -> Scene:
    """Any events: bytes as they are, else JSON behind `data: `. `cut` closes instead of ending."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for event in [*events, *([b"data: [DONE]\n\n"] if done else [])]:
            data = event if isinstance(event, bytes) else b"data: %b\n\n" % json.dumps(event).encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
            await asyncio.sleep(delay_s)
        if reset:
            _reset(writer)
        if cut or reset:
            raise HangUp
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return play


# --- everything else


def raw(*pieces: bytes, delay_s: float = 0.0) -> Scene:
    """Exactly these bytes."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        for i, piece in enumerate(pieces):
            if i and delay_s:
                await asyncio.sleep(delay_s)
            writer.write(piece)
            await writer.drain()

    return play


def stall(after: bytes = b"") -> Scene:
    """Say nothing more for ever."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        await asyncio.Event().wait()

    return play


def drip(data: bytes | None = None, *, delay_s: float = 1.0) -> Scene:
    """A good response at one byte per `delay_s`."""
    body = (
        data
        or b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"choices": []}'
    )
    return raw(*(body[i : i + 1] for i in range(len(body))), delay_s=delay_s)


def hang_up(after: bytes = b"", *, reset: bool = False) -> Scene:
    """Close, or reset, the connection after these bytes."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        await writer.drain()
        if reset:
            _reset(writer)
        raise HangUp

    return play


def reset_after_headers() -> Scene:
    return hang_up(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n", reset=True
    )


def huge_line(n_bytes: int = 100_000_000) -> Scene:
    """One event of that length, made as it is sent."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: ")
        piece = b"x" * 65_536
        for _ in range(n_bytes // len(piece)):
            writer.write(piece)
            await writer.drain()
        writer.write(b"\n\ndata: [DONE]\n\n")
        await writer.drain()
        raise HangUp

    return play


def gzip_bomb(n_bytes: int = 50_000_000) -> Scene:
    return reply(gzip.compress(b" " * n_bytes), content_encoding="gzip")


def html(code: int = 200) -> Scene:
    page = b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>"
    return reply(page, code, "text/html")


def split_utf8(text: str = "grün €uro 日本") -> Scene:
    """A good stream whose every byte comes by itself."""
    data = b"".join(
        b"data: %b\n\n" % json.dumps(event, ensure_ascii=False).encode()
        for event in completion_events([text])
    )
    return sse([data[i : i + 1] for i in range(len(data))])


def refused_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the close a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
