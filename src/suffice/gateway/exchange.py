"""One request and its response: the `receive` and `send` of an ASGI application.

The head of a response waits for the first piece of its body, so that a short answer is one write.
"""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from suffice.errors import Overloaded, SufficeError
from suffice.gateway.wire import CONTINUE, LAST_CHUNK, STATUS_LINES, Header, chunk, header_block, refusal

if TYPE_CHECKING:
    from suffice.gateway.connection import Connection

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODY_HIGH_WATER: Final = 65_536
_BODILESS: Final = frozenset({204, 304})
_OURS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""Response headers that the server writes."""
_name: Final = operator.itemgetter(0)

_log = logging.getLogger("suffice.gateway")


class ClientGone(OSError):
    """The client closed the connection before the response was whole."""


class Exchange:
    """A request being read and answered."""

    is_complete = False
    """All of the request has arrived."""
    is_started = False
    """The head of the response was written."""
    is_finished = False
    expects_continue = False
    body = b""
    """What has arrived of the request's body and was not taken yet."""
    _is_taken = False
    """The application has received the end of the body."""
    _waiters: tuple[asyncio.Future[None], ...] = ()
    _head: Message | None = None
    _is_bodiless = False
    _is_chunked = False
    _left: int | None = None
    """Bytes still owed of the declared content-length."""

    def __init__(self, connection: Connection, scope: Scope, keeps_alive: bool) -> None:
        self.connection = connection
        self.scope = scope
        self.keeps_alive = keeps_alive

    # The connection's side.

    def feed(self, data: bytes) -> None:
        """More of the request's body."""
        self.body = self.body + data if self.body else data
        if len(self.body) > _BODY_HIGH_WATER:
            self.connection.pause_reading()
        if self._waiters:
            self.wake()

    def complete(self) -> None:
        """The request has arrived in full."""
        self.is_complete = True
        if self._waiters:
            self.wake()

    def wake(self) -> None:
        """Something has changed that the application may wait for."""
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def run(self, application: Application) -> None:
        """Have the request answered; always leaves the connection in a defined state."""
        failure: SufficeError | None = None
        try:
            await application(self.scope, self.receive, self.send)
        except asyncio.CancelledError:  # the client went, or the server's grace ended
            failure = Overloaded("the server is shutting down; ask again")
        except ClientGone:
            pass
        except Exception as error:
            # The message of an unforeseen error may hold a secret: its type and place do not.
            _log.error("application failed: %s", describe(error))
        if not self.is_finished:
            self._give_up(failure or SufficeError("the server failed to answer; its log says where"))

    # The application's side.

    async def receive(self) -> Message:
        """The next piece of the request's body, or `http.disconnect`."""
        connection = self.connection
        while not (self._is_taken or self.is_finished or connection.is_lost):
            if self.is_complete or self.body:
                body, self.body = self.body, b""
                self._is_taken = self.is_complete
                if connection.is_paused:
                    connection.resume_reading()
                return {"type": "http.request", "body": body, "more_body": not self.is_complete}
            if self.expects_continue:
                self.expects_continue = False
                connection.write(CONTINUE)
            await self._wait()
        while not self.is_finished and not connection.is_lost:
            await self._wait()
        return {"type": "http.disconnect"}

    async def _wait(self) -> None:
        waiter = self.connection.loop.create_future()
        self._waiters = (*self._waiters, waiter)
        await waiter

    async def send(self, message: Message) -> None:
        """Write the response, piece by piece; waits while the client does not read."""
        head = self._head
        if message["type"] == "http.response.start" and head is None:
            self._head = message
            return
        if message["type"] != "http.response.body" or head is None or self.is_finished:
            raise RuntimeError(
                f"{message['type']!r} is out of order; send http.response.start, then the body"
            )
        connection = self.connection
        if connection.is_lost:
            raise ClientGone("the client closed the connection")
        body, more = message.get("body", b""), message.get("more_body", False)
        connection.write(self._frame(body, more) if self.is_started else self._open(head, body, more))
        if not more:
            self.is_finished = True
            if self._waiters:
                self.wake()
            connection.finished(self)
        elif connection.is_stalled:
            await connection.drained()

    def _open(self, head: Message, body: bytes, more: bool) -> bytes:
        """The head, with as much of the body as is there."""
        status, headers, scope = head["status"], head.get("headers", ()), self.scope
        connection = self.connection
        if not self.is_complete or (connection.is_draining and connection.is_last()):
            self.keeps_alive = False
        if not _OURS.isdisjoint(map(_name, headers)):
            headers = self._heed(headers)
        if status in _BODILESS or scope["method"] == "HEAD":
            self._is_bodiless = True
        is_old = scope["http_version"] == "1.0"
        framing = self._framing(len(body), status, more, is_old)
        if not self.keeps_alive:
            framing += b"connection: close\r\n"
        elif is_old:
            framing += b"connection: keep-alive\r\n"
        line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        framed = self._frame(body, more)
        opened = b"".join((line, connection.server.date, header_block(headers), framing, b"\r\n", framed))
        self.is_started = True
        return opened

    def _heed(self, headers: Iterable[Header]) -> list[Header]:
        """The headers without those that are the server's to write; takes the length from them."""
        kept = []
        for header in headers:
            if header[0] == b"content-length":
                self._left = int(header[1])
            elif header[0] not in _OURS:
                kept.append(header)
        return kept

    def _framing(self, n_bytes: int, status: int, more: bool, is_old: bool) -> bytes:
        """How the client will know where the body ends."""
        if status in _BODILESS:
            return b""
        if self._left is None and more:
            if is_old:
                self.keeps_alive = False
                return b""
            self._is_chunked = True
            return b"transfer-encoding: chunked\r\n"
        if self._left is None:
            self._left = n_bytes
        return b"content-length: %d\r\n" % self._left

    def _frame(self, body: bytes, more: bool) -> bytes:
        if self._is_chunked and not self._is_bodiless:
            framed = chunk(body) if body else b""
            return framed if more else framed + LAST_CHUNK
        if self._is_bodiless:
            return b""
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                self.keeps_alive = False
                raise RuntimeError("the body is not as long as its content-length")
        return body

    def _give_up(self, failure: SufficeError) -> None:
        """The application ended without a whole response: say so if that is still possible."""
        self.is_finished = True
        self.wake()
        if self.is_started or self.connection.is_lost:
            self.connection.abort()
            return
        self.keeps_alive = False
        self.connection.write(refusal(failure, self.connection.server.date))
        self.connection.finished(self)


def describe(error: BaseException) -> str:
    """Type and place of an unforeseen error, without its message."""
    place, frame = "", error.__traceback__
    while frame is not None:
        place = f" at {frame.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frame.tb_lineno}"
        frame = frame.tb_next
    return type(error).__name__ + place
