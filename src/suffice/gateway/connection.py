"""One client connection: bytes in, exchanges started in order, bytes out.

The parser (llhttp, strict) runs inside `data_received`. While a request is being answered, the bytes
behind it are held back unparsed; requests that came in one segment with it wait in a queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools

from suffice.errors import HeadersTooLarge, InvalidRequest, RequestError, RequestTimeout, RequestTooLarge
from suffice.gateway.exchange import Exchange
from suffice.gateway.requests import read_head
from suffice.gateway.wire import refusal

if TYPE_CHECKING:
    from suffice.gateway.server import Server

_BETWEEN: Final = 0
"""No part of a further request has been read."""
_HEAD: Final = 1
_BODY: Final = 2
_DEAF: Final = 3
"""What still comes is thrown away: the connection is about to end."""

_HELD_BYTES: Final = 65_536
_LINGER_BYTES: Final = 1_048_576
_NEVER: Final = float("inf")


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.loop = server.loop
        self._parser = httptools.HttpRequestParser(self)
        self._state = _BETWEEN
        self._active: Exchange | None = None
        """Being answered."""
        self._reading: Exchange | None = None
        """Its body is still arriving."""
        self._queue: deque[Exchange | RequestError] = deque()
        """Answered next, in order; an error is the last."""
        self._held = b""
        self._head: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._head_bytes = 0
        self._received = 0
        self._raw = 0
        self._body_s = 0.0
        self._refusal: RequestError | None = None
        self._pending = 0
        self._is_paused = False
        self._drainers: list[asyncio.Future[None]] = []
        self.is_lost = False
        self.is_stalled = False
        self.deadline = server.now + server.limits.header_s
        """On the loop's clock: when the client must have sent what is awaited."""
        self.stall_deadline = _NEVER
        self.stalled_bytes = 0

    # What an exchange needs to know.

    @property
    def date(self) -> bytes:
        return self._server.date

    @property
    def must_close(self) -> bool:
        """The server is stopping and nothing more has arrived on this connection."""
        return self._server.is_draining and not self._queue and not self._held

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self.local = (str(local[0]), int(local[1])) if isinstance(local, tuple) else None
        self._server.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self._state = _DEAF
        self._server.connections.discard(self)
        if self._active is not None:
            self._active.drop()
        self._active = self._reading = self._parser = None
        self._queue.clear()
        self._held = b""
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._state == _BETWEEN and self._active is not None:
            self._held += data
            if len(self._held) > _HELD_BYTES:
                self.pause_reading()
        elif self._state == _DEAF:
            self._received += len(data)
            if self._received > _LINGER_BYTES:
                self.abort()
        else:
            self._feed(data)

    def eof_received(self) -> bool | None:
        return None  # a client that says nothing more is taken to have gone

    def pause_writing(self) -> None:
        self.is_stalled = True
        self.stalled_bytes = self._transport.get_write_buffer_size()
        self.stall_deadline = self.loop.time() + self._server.limits.write_s

    def resume_writing(self) -> None:
        self.is_stalled = False
        self.stall_deadline = _NEVER
        drainers, self._drainers = self._drainers, []
        for drainer in drainers:
            if not drainer.done():
                drainer.set_result(None)

    # Reading

    def _feed(self, data: bytes) -> None:
        before = self._state
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if self._refusal is None and self._state != _DEAF:
                self._refusal = InvalidRequest(f"not a valid HTTP/1.1 request: {error}")
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._state == _HEAD:
            self._count_head(len(data))
        elif self._state == _BODY:
            self._count_body(len(data) if before == _BODY else 0)

    def _count_head(self, n_bytes: int) -> None:
        """An unfinished head: its time runs from its first bytes, its size is bounded."""
        limits = self._server.limits
        if self._head_bytes < 0:
            self._head_bytes = 0
            self.deadline = self.loop.time() + limits.header_s
            return
        self._head_bytes += n_bytes
        if self._head_bytes > limits.header_bytes:
            self._refuse(_head_too_large(limits.header_bytes))

    def _count_body(self, n_bytes: int) -> None:
        """An unfinished body: every received byte buys a little time."""
        limits = self._server.limits
        self._raw += n_bytes
        # Chunk headers, extensions and trailers are thrown away, but not without end.
        if self._raw > limits.header_bytes + 16 * self._received:
            self._refuse(RequestTooLarge("the chunks of the body hold more framing than data"))
        self.deadline = self._body_s + self._received / limits.body_bytes_per_s

    def _ignore_upgrade(self, rest: bytes) -> None:
        """No other protocol is spoken here: the request was answered as HTTP/1.1, the next one follows."""
        self._parser = httptools.HttpRequestParser(self)
        if self._refusal is not None or self._state == _DEAF:
            return
        if rest:
            self.data_received(rest)

    # httptools callbacks; an exception in one of them ends `feed_data`

    def on_message_begin(self) -> None:
        if self._state == _DEAF or len(self._queue) >= self._server.limits.pipelined:
            self._state = _DEAF
            self.pause_reading()
            raise _Stop
        self._state = _HEAD
        self._head = []
        self._target = b""
        self._head_bytes = -1
        self._pending = 0

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state != _HEAD:
            return  # a trailer
        self._head.append((name.lower(), value))
        self._pending += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        limits, parser = self._server.limits, self._parser
        try:
            if self._pending + len(self._target) > limits.header_bytes:
                raise _head_too_large(limits.header_bytes)
            if len(self._head) > limits.headers:
                raise HeadersTooLarge(f"more than {limits.headers} headers; send fewer")
            head = read_head(
                parser.get_method(), self._target, parser.get_http_version(), self._head, limits.body_bytes
            )
        except RequestError as error:
            self._refusal = error
            raise
        scope = head.scope
        scope["client"], scope["server"] = self.client, self.local
        scope["scheme"] = self._server.scheme
        if self._server.state:
            scope["state"] = dict(self._server.state)
        exchange = Exchange(self, scope, keeps_alive=parser.should_keep_alive())
        exchange.is_head, exchange.is_old = head.is_head, head.is_old
        exchange.expects_continue = head.expects_continue
        self._state = _BODY
        self._received = self._raw = 0
        self._body_s = self._server.now + limits.body_s
        self._reading = exchange
        if self._active is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)

    def on_body(self, data: bytes) -> None:
        self._received += len(data)
        limit = self._server.limits.body_bytes
        if self._received > limit:
            self._refusal = body_too_large(limit)
            raise self._refusal
        if self._reading is not None:
            self._reading.feed(data)

    def on_message_complete(self) -> None:
        self._state = _BETWEEN
        self.deadline = _NEVER
        exchange, self._reading = self._reading, None
        if exchange is not None:
            exchange.complete()
            if not exchange.keeps_alive:
                self._state = _DEAF
                self._received = 0

    def pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._is_paused and not self.is_lost:
            self._is_paused = False
            self._transport.resume_reading()

    # Answering

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        self._server.run(exchange)

    def write(self, data: bytes) -> None:
        if data:
            self._transport.write(data)

    def forget(self, task: asyncio.Task[None]) -> None:
        """The task has ended."""
        self._server.tasks.discard(task)

    async def drained(self) -> None:
        """Returns once the client has taken most of what waits for it."""
        if self.is_stalled:
            waiter = self.loop.create_future()
            self._drainers.append(waiter)
            await waiter

    def finished(self, exchange: Exchange) -> None:
        """The response is written: go on with the next request, or end the connection."""
        if self.is_lost or exchange is not self._active:
            return
        self._active = None
        if not exchange.keeps_alive:
            self._end()
        elif self._queue:
            following = self._queue.popleft()
            if isinstance(following, RequestError):
                self._write_refusal(following)
            else:
                self._start(following)
        elif self._state == _DEAF:
            self._end()
        else:
            self.deadline = self._server.now + self._server.limits.idle_s
            held, self._held = self._held, b""
            self.resume_reading()
            if held:
                self.data_received(held)

    # Ending

    def _refuse(self, error: RequestError) -> None:
        """Answer `error` after everything that came before it, and end."""
        self._state = _DEAF
        self._refusal = error
        broken, self._reading = self._reading, None
        if broken is not None and broken is self._active:
            if broken.is_started:
                self.abort()
                return
            self._active = None
            broken.is_finished = True
            if broken.task is not None:
                broken.task.cancel()
        elif broken is not None:
            self._queue.pop()
        if self._active is None:
            self._write_refusal(error)
        else:
            self._queue.append(error)

    def _write_refusal(self, error: RequestError) -> None:
        self.write(refusal(error, self.date))
        self._linger()

    def _end(self) -> None:
        """Close at once where nothing more can come, else let the client read the answer first."""
        if self._reading is None:
            self.close()
        else:
            self._linger()

    def close(self) -> None:
        """Close as soon as what was written has gone out; cut if the client does not take it."""
        self._state = _DEAF
        self.deadline = self._server.now + self._server.limits.write_s
        self._transport.close()

    def _linger(self) -> None:
        """Say that nothing follows, but go on reading: a reset would destroy the answer on its way."""
        self._state = _DEAF
        self._reading = None
        self._received = 0
        if not self._transport.can_write_eof():
            self.close()
            return
        self.deadline = self._server.now + self._server.limits.linger_s
        self.resume_reading()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def abort(self) -> None:
        self._state = _DEAF
        self._transport.abort()

    def refuse_joining(self, error: RequestError) -> None:
        """There is no room for this connection."""
        self._write_refusal(error)

    def retire(self, by: float) -> None:
        """The server is stopping: an idle connection has until `by` to send what is on its way."""
        if self._active is None and self._state == _BETWEEN:
            self.deadline = min(self.deadline, by)

    def check(self, now: float) -> None:
        """Called by the server's sweep: act on the times that have run out."""
        if now >= self.stall_deadline:
            waiting = self._transport.get_write_buffer_size()
            if waiting >= self.stalled_bytes:
                self.abort()
                return
            self.stalled_bytes = waiting
            self.stall_deadline = now + self._server.limits.write_s
        if now < self.deadline:
            return
        if self._state == _BODY and self._is_paused:  # it is the application that does not read
            self.deadline = now + self._server.limits.body_s
            return
        self.deadline = _NEVER
        if self._state == _DEAF:
            self.abort()
        elif self._state == _BETWEEN:
            self.close()
        else:
            part = "headers" if self._state == _HEAD else "body"
            self._refuse(RequestTimeout(f"the {part} did not arrive in time; send the request in one go"))


class _Stop(Exception):
    """Ends `feed_data` where nothing more is to be read."""


def _head_too_large(limit: int) -> HeadersTooLarge:
    return HeadersTooLarge(f"request line and headers exceed {limit} bytes; send less")


def body_too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the body exceeds {limit} bytes; send a smaller request")
