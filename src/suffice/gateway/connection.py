"""One client connection: requests are answered one after the other, in the order in which they came.

While one is being answered, the bytes behind it are held back unparsed; requests that came in one
segment with it wait in a queue. One task answers all requests of a connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from suffice.errors import RequestError, RequestTimeout
from suffice.gateway.exchange import Exchange
from suffice.gateway.reader import BETWEEN, BODY, DEAF, HEAD, NEVER, Reader
from suffice.gateway.wire import refusal

if TYPE_CHECKING:
    from suffice.gateway.server import Server

_HELD_BYTES: Final = 65_536
_LINGER_BYTES: Final = 1_048_576


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop = server.loop
        self.is_lost = False
        self.is_paused = False
        """Nothing is read from the socket."""
        self.is_stalled = False
        """The client takes the answer more slowly than it is written."""
        self.is_draining = server.is_draining
        self.deadline = server.now + server.limits.header_s
        """On the loop's clock: when the client must have sent what is awaited."""
        self.stall_deadline = NEVER
        """When it must have taken some of what is written."""
        self._reader = Reader(self, server.limits)
        self._active: Exchange | None = None
        """Being answered."""
        self._queue: deque[Exchange | RequestError] = deque()
        """Answered next, in order; an error is the last."""
        self._held = b""
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        """What the task waits for between requests."""
        self._drainers: list[asyncio.Future[None]] = []
        self._stalled_bytes = 0

    def has_room(self) -> bool:
        """Whether one more request may wait."""
        return len(self._queue) < self.server.limits.pipelined

    def is_last(self) -> bool:
        """Whether nothing has arrived behind the request that is being answered."""
        return not self._queue and not self._held

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.ends = {
            "client": (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None,
            "server": (str(local[0]), int(local[1])) if isinstance(local, tuple) else None,
            "scheme": self.server.scheme,
        }
        """What every scope of this connection holds."""
        self.server.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self.server.connections.discard(self)
        self._reader.close()
        self._queue.clear()
        self._held = b""
        self.resume_writing()
        exchange, self._active = self._active, None
        if exchange is not None:
            exchange.wake()
            self._cancel()
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if self._active is not None and reader.state == BETWEEN:
            self._held += data
            if len(self._held) > _HELD_BYTES:
                self.pause_reading()
        elif reader.state == DEAF:
            reader.received += len(data)
            if reader.received > _LINGER_BYTES:
                self.abort()
        else:
            reader.feed(data)
            if reader.refusal is not None:
                self._refuse(reader.refusal)

    def eof_received(self) -> bool | None:
        return None  # a client that says nothing more is taken to have gone

    def pause_writing(self) -> None:
        self.is_stalled = True
        self._stalled_bytes = self._transport.get_write_buffer_size()
        self.stall_deadline = self.loop.time() + self.server.limits.write_s

    def resume_writing(self) -> None:
        self.is_stalled = False
        self.stall_deadline = NEVER
        drainers, self._drainers = self._drainers, []
        for drainer in drainers:
            if not drainer.done():
                drainer.set_result(None)

    def pause_reading(self) -> None:
        if not self.is_paused:
            self.is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.is_paused and not self.is_lost:
            self.is_paused = False
            self._transport.resume_reading()

    # Answering

    def arrived(self, exchange: Exchange) -> None:
        """The head of a request is there."""
        if self._active is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        if self._task is None:
            self._task = self.server.spawn(self._work())
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _work(self) -> None:
        """Answer requests until the connection is lost."""
        application, state = self.server.application, self.server.state
        while not self.is_lost:
            exchange = self._active
            if exchange is None:
                self._idle = self.loop.create_future()
                await self._idle
                continue
            if state:
                exchange.scope["state"] = dict(state)
            await exchange.run(application)
            if self._active is exchange:  # it was given up, and the connection with it
                self._active = None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def write(self, data: bytes) -> None:
        """Queue bytes for the client."""
        if data:
            self._write(data)

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
        elif self._reader.state == DEAF:  # more came with this request than may wait
            self._linger()
        else:
            if self._reader.state == BETWEEN:
                self.deadline = self.server.now + self.server.limits.idle_s
            if self.is_paused:
                self.resume_reading()
            if self._held:
                held, self._held = self._held, b""
                self.data_received(held)

    # Ending

    def _refuse(self, error: RequestError) -> None:
        """Answer `error` after everything that came before it, and end."""
        reader = self._reader
        reader.state = DEAF
        broken, reader.exchange = reader.exchange, None
        if broken is not None and broken is self._active:
            if broken.is_started:
                self.abort()
                return
            self._active = None
            broken.is_finished = True
            self._cancel()
        elif broken is not None:
            self._queue.pop()
        if self._active is None:
            self._write_refusal(error)
        else:
            self._queue.append(error)

    def _write_refusal(self, error: RequestError) -> None:
        self.write(refusal(error, self.server.date))
        self._linger()

    def _end(self) -> None:
        """Close at once where nothing more can come, else let the client read the answer first."""
        if self._reader.exchange is None:
            self.close()
        else:
            self._linger()

    def close(self) -> None:
        """Close as soon as what was written has gone out; cut if the client does not take it."""
        self._reader.state = DEAF
        self.deadline = self.server.now + self.server.limits.write_s
        self._transport.close()

    def _linger(self) -> None:
        """Say that nothing follows, but go on reading: a reset would destroy the answer on its way."""
        reader = self._reader
        reader.state = DEAF
        reader.exchange = None
        reader.received = 0
        if not self._transport.can_write_eof():
            self.close()
            return
        self.deadline = self.server.now + self.server.limits.linger_s
        self.resume_reading()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def abort(self) -> None:
        """Cut the connection; what was not taken yet is lost."""
        self._reader.state = DEAF
        self._transport.abort()

    def refuse_joining(self, error: RequestError) -> None:
        """There is no room for this connection."""
        self._write_refusal(error)

    def retire(self, by: float) -> None:
        """The server is stopping: an idle connection has until `by` to send what is on its way."""
        self.is_draining = True
        if self._active is None and self._reader.state == BETWEEN:
            self.deadline = min(self.deadline, by)

    def check(self, now: float) -> None:
        """Called by the server's sweep: act on the times that have run out."""
        limits, state = self.server.limits, self._reader.state
        if now >= self.stall_deadline:
            waiting = self._transport.get_write_buffer_size()
            if waiting >= self._stalled_bytes:
                self.abort()
                return
            self._stalled_bytes = waiting
            self.stall_deadline = now + limits.write_s
        if now < self.deadline:
            return
        self.deadline = NEVER
        if state == DEAF:
            self.abort()
        elif state == BETWEEN:
            self.close()
        elif state == BODY and self.is_paused:  # it is the application that does not read
            self.deadline = now + limits.body_s
        else:
            part = "headers" if state == HEAD else "body"
            self._refuse(RequestTimeout(f"the {part} did not arrive in time; send the request in one go"))
