"""One HTTP/1.1 connection as a client: one exchange at a time, parsed by llhttp.

Costs are kept off the path: header and body callbacks are bound methods of a dict and a list, and
timeouts are looked at by a common watch (`HttpClient`) rather than armed for every read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from suffice.errors import ProviderError, ProviderGarbage, ProviderTimeout, ProviderUnavailable
from suffice.providers.target import Target, Timeouts

_JOIN_UP_TO: Final = 65_536


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a response may take; more is ProviderGarbage."""

    max_head_bytes: int = 65_536
    max_body_bytes: int = 64 * 1024 * 1024
    """Of a whole response, streamed or not, framing included."""
    high_water_bytes: int = 262_144
    """Reading pauses while this much of a stream waits for its reader."""


class Stale(Exception):
    """A kept connection was closed by the server before it saw the request."""


class Connection(asyncio.Protocol):
    """Send a request, collect its response. `HttpClient` owns it between exchanges."""

    __slots__ = (
        "_activity_s",
        "_buffered",
        "_chunk_s",
        "_deadline_s",
        "_failure",
        "_fields",
        "_is_busy",
        "_is_paused",
        "_is_reused",
        "_is_streamed",
        "_is_unclean",
        "_label",
        "_limits",
        "_loop",
        "_on_end",
        "_on_lost",
        "_parser",
        "_patience_s",
        "_pieces",
        "_received",
        "_transport",
        "_waiter",
        "headers",
        "idle_since_s",
        "is_complete",
        "on_body",
        "on_header",
        "origin",
        "status",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: tuple[str, str, int],
        limits: Limits,
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.origin = origin
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """Of the response, names in lower case."""
        self.is_complete = False
        self.idle_since_s = 0.0
        self._loop, self._limits, self._on_lost = loop, limits, on_lost
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._on_end: Callable[[Connection], None] | None = None
        self._failure: tuple[type[ProviderError], str] | None = None
        self._is_busy = self._is_streamed = self._is_reused = self._is_unclean = self._is_paused = False
        self._received = self._buffered = 0
        self._activity_s = 0.0
        self._deadline_s = self._patience_s = self._chunk_s = math.inf
        self._label = ""
        self._fields: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        # llhttp calls these for every header and every piece of the body.
        self.on_header = self._fields.__setitem__
        self.on_body = self._pieces.append
        self._parser: Any = HttpResponseParser(self)

    # --- what HttpClient calls

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(
        self, target: Target, body: bytes, timeouts: Timeouts, deadline_s: float, *, streamed: bool
    ) -> None:
        """Return once the response is there: all of it, or its head if it is to be streamed.

        Raises
        ------
        Stale
            If a reused connection turns out to be closed; nothing was answered.
        """
        self.status, self.is_complete, self._is_busy = 0, False, True
        self._is_streamed, self._label = streamed, target.label
        self._received = 0
        self._activity_s, self._deadline_s = self._loop.time(), deadline_s
        self._patience_s, self._chunk_s = timeouts.first_byte_s or math.inf, timeouts.chunk_s or math.inf
        transport = self._transport
        if transport is None:
            if self._is_reused:
                raise Stale
            raise ProviderUnavailable("the connection closed as soon as it was made", candidate=self._label)
        if len(body) <= _JOIN_UP_TO:
            transport.write(b"%b%d\r\n\r\n%b" % (target.head, len(body), body))
        else:
            transport.write(b"%b%d\r\n\r\n" % (target.head, len(body)))
            transport.write(body)
        while not (self.is_complete or (streamed and self.status)):
            if self._failure is not None:
                self._raise()
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body, as many as have come; empty at its end."""
        pieces = self._pieces
        while not pieces:
            if self._failure is not None:
                self._raise()
            if self.is_complete:
                return b""
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """What of the body has come so far."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered = 0
        if self._is_paused:
            self._is_paused = False
            self._activity_s = self._loop.time()
            if self._transport is not None:
                self._transport.resume_reading()
        return data

    def drain(self, limit_s: float, on_end: Callable[[Connection], None]) -> None:
        """Throw the rest of the body away; `on_end` is called if it ends within `limit_s`."""
        self.take()
        self._on_end = on_end
        self._deadline_s = min(self._deadline_s, self._loop.time() + limit_s)

    def finish(self) -> bool:
        """End the exchange; True if the connection may carry another one."""
        self._is_busy, self._is_reused = False, True
        transport = self._transport
        if (
            transport is None
            or self._is_unclean
            or transport.is_closing()
            or transport.get_write_buffer_size()
        ):
            self.abort()
            return False
        return True

    def abort(self) -> None:
        """Close at once; the server sees a reset if it is still sending."""
        self._is_busy = False
        if self._transport is not None:
            self._transport.abort()

    def check(self, now_s: float) -> None:
        """Fail the exchange if it has run out of time; called by the watch."""
        if self.is_complete or self._failure is not None:
            return
        if now_s >= self._deadline_s:
            self._fail(ProviderTimeout, "the answer was not complete within its time limit")
        elif now_s - self._activity_s >= self._patience_s and not self._is_paused:
            what = "no more of the answer" if self._received else "no answer"
            self._fail(ProviderTimeout, f"{what} came within {self._patience_s:g} s")

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        was_complete = self.is_complete
        if was_complete or not self._is_busy:
            self._is_unclean = True  # nobody asked for these bytes
            self.abort()
            return
        self._activity_s = self._loop.time()
        self._patience_s = self._chunk_s
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_complete:
                self._fail(ProviderGarbage, f"the response is not HTTP/1.1: {error}")
                return
            self._is_unclean = True
        if self.is_complete:
            self._wake()
            if self._on_end is not None:
                self._end()
        elif self._received > self._limits.max_body_bytes:
            self._fail(ProviderGarbage, f"the response is longer than {self._limits.max_body_bytes:,} bytes")
        elif not self.status:
            if self._received > self._limits.max_head_bytes:
                self._fail(
                    ProviderGarbage, f"the headers are longer than {self._limits.max_head_bytes:,} bytes"
                )
        elif self._is_streamed:
            self._offer(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._is_busy and not self.is_complete and self._failure is None:
            is_framed = b"content-length" in self.headers or b"transfer-encoding" in self.headers
            if self.status and not is_framed and exc is None:
                self._is_unclean = self.is_complete = True  # such a body ends with its connection
            elif self.status and exc is None:
                self._failure = ProviderGarbage, "the connection closed in the middle of the answer"
            else:
                when = "in the middle of the answer" if self._received else "before an answer"
                self._failure = ProviderUnavailable, f"the connection was lost {when}"
        self._wake()
        self._on_lost(self)
        # The parser holds this object's methods: let go, so that no cycle waits for the collector.
        del self.on_header, self.on_body
        self._parser = None

    # --- what llhttp calls

    def on_message_begin(self) -> None:
        if self.is_complete:
            self._is_unclean = True

    def on_headers_complete(self) -> None:
        if self.is_complete:
            raise HttpParserError("a second response that was not asked for")
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            self.headers = {name.lower(): value for name, value in self._fields.items()}
        self._fields.clear()

    def on_message_complete(self) -> None:
        if self.status:  # else it was a 1xx, and the response is still to come
            self.is_complete = True
            self._is_unclean = not self._parser.should_keep_alive()  # llhttp knows it only here

    # --- inside

    def _offer(self, size: int) -> None:
        """Let the reader know; stop the server while it is far ahead of the reader."""
        self._buffered += size
        if self._waiter is not None:
            self._wake()
        elif self._buffered > self._limits.high_water_bytes and not self._is_paused:
            self._is_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _end(self) -> None:
        """A drained body is at its end."""
        on_end, self._on_end = self._on_end, None
        self.take()
        if on_end is not None:
            on_end(self)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: type[ProviderError], message: str) -> None:
        self._failure = kind, message
        self._wake()
        self.abort()

    def _raise(self) -> None:
        assert self._failure is not None
        if self._is_reused and not self._received and self._failure[0] is ProviderUnavailable:
            raise Stale
        kind, message = self._failure
        raise kind(message, candidate=self._label)
