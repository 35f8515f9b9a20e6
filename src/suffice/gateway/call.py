"""One request as the routes see it: who asks, what they sent, and how to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

import msgspec

from suffice.errors import InvalidRequest, RequestTooLarge, SufficeError
from suffice.gateway.exchange import ClientGone, Receive, Scope, Send
from suffice.gateway.requests import CANCELS
from suffice.gateway.wire import JSON_TYPE, Header, error_body
from suffice.types import Caller

_NO_STORE: Final[Header] = (b"cache-control", b"no-store")


class Call:
    """A request to a route and the way back."""

    is_started = False
    read: asyncio.Event | None = None
    """Set once the body is read, if somebody wants to know."""
    caller = Caller()

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        raw: bytes | None = scope.get("raw_path")
        self.path: str = scope["path"] if raw is None else raw.decode("latin-1")
        """As it came: a route is found by its exact bytes, never by a decoded form of them."""
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.is_ours = CANCELS in scope.get("extensions", ())
        """Served by this package's server: it writes lengths itself, and cancels when the client goes."""

    async def body(self, limit: int) -> bytes:
        """All of the request's body.

        Raises
        ------
        RequestTooLarge
            If there is more than `limit` bytes of it.
        InvalidRequest
            If it is compressed.
        """
        if b"content-encoding" in self.headers and self.headers[b"content-encoding"] != b"identity":
            raise InvalidRequest("compressed request bodies are not read; send the body as it is")
        message = await self.receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            parts, n_bytes = [body], len(body)
            while message.get("more_body") and n_bytes <= limit:
                message = await self.receive()
                parts.append(message.get("body", b""))
                n_bytes += len(parts[-1])
            body = b"".join(parts)
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before its request was whole")
        if len(body) > limit:
            raise RequestTooLarge(f"the body exceeds {limit} bytes; send a smaller request")
        if self.read is not None:
            self.read.set()
        return body

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """The head of a response; its body follows in pieces."""
        self.is_started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def push(self, data: bytes, *, is_last: bool = False) -> None:
        """One more piece of the body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": not is_last})

    async def reply(self, status: int, body: bytes, headers: Sequence[Header] = (JSON_TYPE,)) -> None:
        """A whole response."""
        self.is_started = True
        if not self.is_ours:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def json(self, value: Any) -> None:
        """200 and a JSON body."""
        await self.reply(200, msgspec.json.encode(value))

    async def fail(self, error: SufficeError, headers: Sequence[Header] = ()) -> None:
        """The error in OpenAI's shape."""
        found = [JSON_TYPE, _NO_STORE, *headers]
        if error.record_id is not None:
            found.append((b"x-suffice-id", error.record_id.encode()))
        await self.reply(error.status, error_body(error), found)


async def until_gone(work: Coroutine[Any, Any, None], call: Call) -> None:
    """Run a handler under a server that does not cancel it when the client goes."""
    call.read = asyncio.Event()
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(call, call.read))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


async def _gone(call: Call, read: asyncio.Event) -> None:
    """Returns once the client has gone."""
    await read.wait()
    while (await call.receive())["type"] != "http.disconnect":
        pass
