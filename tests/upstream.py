"""A provider that plays what it is told: answers, streams, and every way of failing.

>>> async with Upstream() as upstream:
...     upstream.plays(status(503), good("hello"))   # in turn; the last one repeats
...     upstream.plays(stall(), model="slow")          # for requests with that model
...     ... upstream.url ...                           # http://127.0.0.1:PORT/v1
...     assert upstream.requests[0].json["model"] == "small"
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Self

from scenes import HangUp, Received, Scene, good


class Upstream:
    """A server on a free local port. A scene that returns keeps the connection."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context
        self.requests: list[Received] = []
        self.n_connections = 0
        """Accepted so far."""
        self.n_hangups = 0
        """Connections that the client closed while a scene was being played."""
        self._scripts: dict[str | None, list[Scene]] = {None: [good()]}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def plays(self, *scenes: Scene, model: str | None = None) -> None:
        """What to play, one scene a request; for one model, or for those without a script of their own."""
        self._scripts[model] = list(scenes)

    @property
    def n_open(self) -> int:
        return len(self._writers)

    async def hangups(self, n: int, within_s: float) -> bool:
        """Whether that many clients have hung up by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.n_hangups < n:
                    await asyncio.sleep(0.005)
        return self.n_hangups >= n

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.n_connections += 1
        try:
            ahead = b""
            while True:
                request = await _read_request(reader, ahead)
                self.requests.append(request)
                ahead = await self._play(self._next(request), request, reader, writer)
        except HangUp:
            writer.close()
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            with contextlib.suppress(Exception):
                await writer.wait_closed()
            self._writers.discard(writer)
            self._tasks.discard(task)

    def _next(self, request: Received) -> Scene:
        model = None
        with contextlib.suppress(ValueError, TypeError):
            model = request.json.get("model")
        script = self._scripts.get(model) or self._scripts[None]
        return script.pop(0) if len(script) > 1 else script[0]

    async def _play(
        self, scene: Scene, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        """Play a scene while watching for the client to hang up; returns bytes of a next request."""
        play = asyncio.ensure_future(scene(request, writer))
        watch = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((play, watch), return_when=asyncio.FIRST_COMPLETED)
            if play.done():
                await play
                return await watch
            if not watch.exception() and watch.result():
                await play
                return watch.result()
            self.n_hangups += 1
            raise ConnectionResetError
        finally:
            play.cancel()
            watch.cancel()
            await asyncio.gather(play, watch, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader, ahead: bytes) -> Received:
    head = ahead + await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, path, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)
