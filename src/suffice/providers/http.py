"""The HTTP/1.1 client under every remote provider: a keep-alive pool, limits and deadlines.

It does what calls to model APIs need and no more: no redirects, no cookies, no compression, no proxy.
A request is never sent twice, with one exception: on a kept connection that the server closed
before it answered anything.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator
from typing import Final, Self

import msgspec

from suffice.errors import ProviderGarbage, ProviderTimeout, ProviderUnavailable
from suffice.providers.connection import Connection, Limits, Stale
from suffice.providers.target import Target, Timeouts

_WATCH_S: Final = 0.05
_REAP_S: Final = 1.0
_DRAIN_S: Final = 1.0
_Origin = tuple[str, str, int]


class Response(msgspec.Struct, frozen=True):
    """A complete response; header names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Stream:
    """A response whose body is still coming. Read to the end, or `close` it."""

    __slots__ = ("_client", "_connection", "headers", "status")

    def __init__(self, client: HttpClient, connection: Connection) -> None:
        self.status, self.headers = connection.status, connection.headers
        self._client = client
        self._connection: Connection | None = connection

    async def read(self) -> bytes:
        """The next bytes, as many as have come; empty at the end.

        Raises
        ------
        ProviderTimeout, ProviderUnavailable, ProviderGarbage
            If the rest does not come, or not in time. Every read until then still gives its bytes.
        """
        if self._connection is None:
            return b""
        data = await self._connection.read()
        if not data:
            connection, self._connection = self._connection, None
            self._client._release(connection)
        return data

    async def read_all(self, max_bytes: int) -> bytes:
        """The rest of the body, cut at `max_bytes`."""
        body = bytearray()
        while len(body) < max_bytes and (data := await self.read()):
            body += data
        return bytes(body[:max_bytes])

    def finish(self) -> None:
        """Give the connection back though the body's end may not have come: its last bytes do not matter."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            if connection.is_complete:
                connection.take()
                self._client._release(connection)
            else:
                connection.drain(_DRAIN_S, self._client._release)

    def close(self) -> None:
        """Stop; a body not read to its end closes the connection, so that the server stops too."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._client._drop(connection)

    async def aclose(self) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data


class HttpClient:
    """Pooled connections of one event loop. Safe to share between all models of a process."""

    def __init__(
        self,
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        ssl_context: ssl.SSLContext | None = None,
        max_idle: int = 256,
        keep_alive_s: float = 30.0,
    ) -> None:
        """
        Parameters
        ----------
        ssl_context : None verifies against the system's certificates
        max_idle : connections kept open per server
        keep_alive_s : for how long one is kept without use
        """
        self._limits, self._ssl = limits, ssl_context
        self._max_idle, self._keep_alive_s = max_idle, keep_alive_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: dict[_Origin, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._open: set[Connection] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._is_watching = False
        self._closed: asyncio.Future[None] | None = None

    async def request(
        self, target: Target, body: bytes, timeouts: Timeouts, *, total_s: float | None = None
    ) -> Response:
        """Send and receive the whole response.

        Parameters
        ----------
        total_s : replaces `timeouts.total_s`

        Raises
        ------
        ProviderTimeout, ProviderUnavailable, ProviderGarbage
        """
        connection = await self._exchange(target, body, timeouts, total_s, streamed=False)
        response = Response(connection.status, connection.headers, connection.take())
        self._release(connection)
        if b"content-encoding" in response.headers:
            return _decoded(response, target)
        return response

    async def open(
        self, target: Target, body: bytes, timeouts: Timeouts, *, total_s: float | None = None
    ) -> Stream:
        """As `request`, but return with the headers; close the stream in a `finally`."""
        connection = await self._exchange(target, body, timeouts, total_s, streamed=True)
        if connection.status < 400 and _is_encoded(connection.headers):
            self._drop(connection)
            raise _encoded_error(connection.headers, connection.status, target)
        return Stream(self, connection)

    def tls(self) -> ssl.SSLContext:
        """The context for https, made once: reading the system's certificates takes tens of milliseconds."""
        if self._ssl is None:
            self._ssl = ssl.create_default_context()
        return self._ssl

    async def close(self) -> None:
        """Close every connection, and return once their sockets are closed."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if not self._open or self._loop is not asyncio.get_running_loop():
            return
        self._closed = self._loop.create_future()
        for connection in tuple(self._open):
            connection.abort()
        await asyncio.wait([self._closed], timeout=1.0)
        self._closed = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def n_open(self) -> int:
        """Connections now, idle ones included."""
        return len(self._open)

    @property
    def n_busy(self) -> int:
        """Requests at work now."""
        return len(self._busy)

    # --- inside

    async def _exchange(
        self, target: Target, body: bytes, timeouts: Timeouts, total_s: float | None, *, streamed: bool
    ) -> Connection:
        loop = self._attach()
        limit_s = timeouts.total_s if total_s is None else total_s
        deadline_s = math.inf if limit_s is None else loop.time() + limit_s
        connection = self._idle_connection(target.origin)
        if connection is None:
            connection = await self._connect(loop, target, timeouts, deadline_s)
        for _ in range(2):
            self._busy.add(connection)
            try:
                await connection.exchange(target, body, timeouts, deadline_s, streamed=streamed)
                return connection
            except Stale:
                self._drop(connection)
            except BaseException:
                self._drop(connection)
                raise
            connection = await self._connect(loop, target, timeouts, deadline_s)
        raise AssertionError("a new connection is never stale")  # pragma: no cover

    def _attach(self) -> asyncio.AbstractEventLoop:
        """The running loop; connections of an earlier one are forgotten."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._idle, self._busy, self._open = {}, set(), set()
            self._watch = None
        if not self._is_watching or self._watch is None:
            self._start_watch(loop, _WATCH_S)
        return loop

    def _idle_connection(self, origin: _Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, target: Target, timeouts: Timeouts, deadline_s: float
    ) -> Connection:
        context = self.tls() if target.scheme == "https" else None
        left_s = deadline_s - loop.time()
        wait_s = min(left_s, math.inf if timeouts.connect_s is None else timeouts.connect_s)
        where = f"{target.host}:{target.port}"
        try:
            async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, target.origin, self._limits, self._on_lost),
                    target.host,
                    target.port,
                    ssl=context,
                    server_hostname=target.host if context else None,
                )
        except TimeoutError as error:
            raise ProviderTimeout(
                f"no connection to {where} within {wait_s:.3g} s", candidate=target.label
            ) from error
        except (OSError, UnicodeError) as error:
            raise ProviderUnavailable(f"no connection to {where}: {error}", candidate=target.label) from error
        self._open.add(connection)
        return connection

    def _release(self, connection: Connection) -> None:
        """After a complete response: keep the connection if it can carry another one."""
        self._busy.discard(connection)
        if not connection.finish():
            return
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = []
        if len(idle) >= self._max_idle or self._loop is None:
            connection.abort()
            return
        connection.idle_since_s = self._loop.time()
        idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.abort()

    def _on_lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._busy.discard(connection)
        if not self._open and self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def _start_watch(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._is_watching = delay_s == _WATCH_S
        self._watch = loop.call_later(delay_s, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all: deadlines of those at work, age of those at rest."""
        self._watch = None
        now_s = loop.time()
        for connection in tuple(self._busy):
            connection.check(now_s)
        for idle in self._idle.values():
            while idle and now_s - idle[0].idle_since_s > self._keep_alive_s:
                idle.pop(0).abort()
        if self._busy:
            self._start_watch(loop, _WATCH_S)
        elif any(self._idle.values()):
            self._start_watch(loop, _REAP_S)


def _is_encoded(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b"")


def _decoded(response: Response, target: Target) -> Response:
    """A compressed body was not asked for and is not opened; a failure keeps its status."""
    if not _is_encoded(response.headers):
        return response
    if response.status >= 400:
        return Response(response.status, response.headers, b"")
    raise _encoded_error(response.headers, response.status, target)


def _encoded_error(headers: dict[bytes, bytes], status: int, target: Target) -> ProviderGarbage:
    encoding = headers[b"content-encoding"].decode("latin-1")[:40]
    return ProviderGarbage(
        f"the body is encoded as {encoding!r} though only identity was asked for",
        candidate=target.label,
        upstream_status=status,
    )
