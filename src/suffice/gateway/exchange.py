"""One request and its response: the `receive` and `send` of an ASGI application.

The head of a response waits for the first piece of its body, so that a short answer is one write.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, cast

from suffice.errors import Overloaded, SufficeError
from suffice.gateway.wire import CONTINUE, LAST_CHUNK, chunk, header_block, refusal, status_line

if TYPE_CHECKING:
    from suffice.gateway.connection import Connection

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODY_HIGH_WATER: Final = 65_536
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_BODILESS: Final = frozenset({204, 304})
_OURS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""Response headers that the server writes itself."""

_log = logging.getLogger("suffice.gateway")


class ClientGone(OSError):
    """The client closed the connection before the response was whole."""


class Exchange:
    """A request being read and answered; lives as long as the application's task."""

    is_complete = False
    """All of the request has arrived."""
    is_started = False
    """The head of the response was written."""
    is_finished = False
    expects_continue = False
    task: asyncio.Task[None] | None = None
    _body = b""
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
        self._body = self._body + data if self._body else data
        if len(self._body) > _BODY_HIGH_WATER:
            self.connection.pause_reading()
        if self._waiters:
            self._wake()

    def complete(self) -> None:
        """The request has arrived in full."""
        self.is_complete = True
        if self._waiters:
            self._wake()

    def drop(self) -> None:
        """Nobody wants the answer any more: stop the application."""
        self._wake()
        task = self.task
        if task is None or self.is_finished:
            return
        if inspect.getcoroutinestate(cast(Any, task.get_coro())) == inspect.CORO_CREATED:
            self.connection.forget(task)  # cancelled before its first step, it will not say that it ended
        task.cancel()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # The application's side.

    async def run(self, application: Application) -> None:
        """The application's task; always leaves the connection in a defined state."""
        failure = SufficeError("the server failed to answer; its log says where")
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
            self._give_up(failure)
        if self.task is not None:
            self.connection.forget(self.task)

    async def receive(self) -> Message:
        """The next piece of the request's body, or `http.disconnect`."""
        connection = self.connection
        while not self._is_taken and not self.is_finished and not connection.is_lost:
            if self._body or self.is_complete:
                body, self._body = self._body, b""
                self._is_taken = self.is_complete
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
        kind, head = message["type"], self._head
        if kind == "http.response.start" and head is None:
            self._head = message
            return
        if kind != "http.response.body" or head is None or self.is_finished:
            raise RuntimeError(f"{kind!r} is out of order; send http.response.start, then the body")
        connection = self.connection
        if connection.is_lost:
            raise ClientGone("the client closed the connection")
        body, more = message.get("body", b""), message.get("more_body", False)
        connection.write(self._frame(body, more) if self.is_started else self._open(head, body, more))
        if not more:
            self._finish()
        elif connection.is_stalled:
            await connection.drained()

    def _open(self, head: Message, body: bytes, more: bool) -> bytes:
        """The head, with as much of the body as is there."""
        status, headers = head["status"], head.get("headers", ())
        is_old = self.scope["http_version"] == "1.0"
        self._is_bodiless = status in _BODILESS or self.scope["method"] == "HEAD"
        declared = None
        kept = []
        for header in headers:
            if header[0] not in _OURS:
                kept.append(header)
            elif header[0] == b"content-length":
                declared = int(header[1])
        framing = b""
        if status in _BODILESS:
            pass
        elif declared is not None or not more:
            self._left = declared = len(body) if declared is None else declared
            framing = b"content-length: %d\r\n" % declared
        elif is_old:
            self.keeps_alive = False
        else:
            self._is_chunked = True
            framing = _CHUNKED
        if not self.is_complete or self.connection.must_close:
            self.keeps_alive = False
        if not self.keeps_alive:
            framing += _CLOSE
        elif is_old:
            framing += _KEEP_ALIVE
        framed = self._frame(body, more)
        lines = (status_line(status), self.connection.date, header_block(kept), framing, b"\r\n", framed)
        self.is_started = True
        return b"".join(lines)

    def _frame(self, body: bytes, more: bool) -> bytes:
        if self._is_bodiless:
            return b""
        if self._is_chunked:
            framed = chunk(body) if body else b""
            return framed if more else framed + LAST_CHUNK
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                self.keeps_alive = False
                raise RuntimeError("the body is not as long as its content-length")
        return body

    def _finish(self) -> None:
        self.is_finished = True
        if self._waiters:
            self._wake()
        self.connection.finished(self)

    def _give_up(self, failure: SufficeError) -> None:
        """The application ended without a whole response: say so if that is still possible."""
        self.is_finished = True
        self._wake()
        if self.is_started or self.connection.is_lost:
            self.connection.abort()
            return
        self.keeps_alive = False
        self.connection.write(refusal(failure, self.connection.date))
        self.connection.finished(self)


def describe(error: BaseException) -> str:
    """Type and place of an unforeseen error, without its message."""
    place, frame = "", error.__traceback__
    while frame is not None:
        place = f" at {frame.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frame.tb_lineno}"
        frame = frame.tb_next
    return type(error).__name__ + place
