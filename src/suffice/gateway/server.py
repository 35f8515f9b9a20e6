"""An HTTP/1.1 server for one ASGI application, as close to the protocol as Python allows.

One task per request, no timer per request: a sweep over the connections enforces every time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any

from suffice.errors import ConfigError, Overloaded
from suffice.gateway.connection import Connection
from suffice.gateway.exchange import Application
from suffice.gateway.lifespan import Lifespan
from suffice.gateway.limits import Limits
from suffice.gateway.wire import date_line

_SWEEP_S = 0.5
_LAST_CALL_S = 0.3
"""How long an idle connection may still bring the request that was on its way when we stopped."""
_CANCEL_S = 5.0
"""For cancelled requests to clean up."""

_log = logging.getLogger("suffice.gateway")


class Server:
    """Accepts connections on bound sockets and feeds them to the application."""

    def __init__(
        self,
        application: Application,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        worker: int = 0,
    ) -> None:
        self.application = application
        self.limits = limits or Limits()
        self.scheme = "https" if tls else "http"
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.state: dict[str, Any] = {}
        self.is_draining = False
        self.date = b""
        """The Date header line, renewed by the sweep."""
        self.now = 0.0
        """The loop's clock at the last sweep: good enough for limits of seconds."""
        self._tls = tls
        self._lifespan = Lifespan(application, worker)
        self._listeners: list[asyncio.Server] = []
        self._stop = asyncio.Event()
        shortest = min(self.limits.header_s, self.limits.body_s, self.limits.idle_s, self.limits.write_s)
        self._sweep_s = min(_SWEEP_S, max(0.02, shortest / 4))

    async def start(self, sockets: list[socket.socket]) -> None:
        """Start the application, then accept; raises ConfigError if it cannot start."""
        self.loop = asyncio.get_running_loop()
        await self._lifespan.startup()
        self.state = self._lifespan.state
        self._sweep()
        for sock in sockets:
            listener = await self.loop.create_server(
                lambda: Connection(self), sock=sock, ssl=self._tls, backlog=2048
            )
            self._listeners.append(listener)

    async def serve(self) -> None:
        """Until `stop`, then drain."""
        await self._stop.wait()
        await self.close()

    def stop(self) -> None:
        """Finish what is being answered; called a second time, give it no more time."""
        if self._stop.is_set():
            for task in self.tasks:
                task.cancel()
        self._stop.set()

    async def close(self) -> None:
        """Stop accepting, finish requests in flight up to the grace, shut the application down."""
        self.is_draining = True
        for listener in self._listeners:
            listener.close()
        if self.connections:
            _log.warning(
                "stopping: finishing what is being answered on %d connections, for up to %g s; "
                "a second signal ends at once",
                len(self.connections),
                self.limits.grace_s,
            )
        last_call = self.loop.time() + _LAST_CALL_S
        self.loop.call_later(_LAST_CALL_S, self._check_all)
        for connection in list(self.connections):
            connection.retire(last_call)
        await self._empty(self.limits.grace_s)
        for task in list(self.tasks):
            task.cancel()
        await self._empty(_CANCEL_S)
        for connection in list(self.connections):
            connection.abort()
        if self.tasks:  # the last ones clean up
            await asyncio.wait(self.tasks, timeout=_CANCEL_S)
        self._sweeper.cancel()
        await self._lifespan.shutdown()

    async def _empty(self, seconds: float) -> None:
        """Until no connection is open, or the time is over."""
        end = self.loop.time() + seconds
        while self.connections and self.loop.time() < end:
            await asyncio.sleep(0.01)

    def joined(self, connection: Connection) -> None:
        """A connection was accepted."""
        self.connections.add(connection)
        if len(self.connections) > self.limits.connections:
            connection.refuse_joining(Overloaded("too many connections; try again in a moment"))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a connection's work in a task of its own."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _sweep(self) -> None:
        self.date = date_line(time.time())
        self._check_all()
        self._sweeper = self.loop.call_later(self._sweep_s, self._sweep)

    def _check_all(self) -> None:
        self.now = now = self.loop.time()
        due = [each for each in self.connections if now >= each.deadline or now >= each.stall_deadline]
        for connection in due:
            connection.check(now)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises
    ------
    ConfigError
        If the address is not ours or in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"{host} is no address to listen on: {error}; try 127.0.0.1") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; try another port") from error
    sock.setblocking(False)
    return sock


def run(
    application: Application,
    sock: socket.socket,
    *,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    on_ready: Callable[[], None] | None = None,
    lifeline: int | None = None,
    worker: int = 0,
) -> None:
    """Serve in this process until SIGTERM or SIGINT; a second signal ends it at once.

    Parameters
    ----------
    application : ASGI 3
    sock : as `bind` makes it
    on_ready : called once requests are accepted
    lifeline : a pipe whose other end is held by a process that this one must not outlive
    worker : which of several workers this is
    """

    async def main() -> None:
        server = Server(application, limits, tls, worker)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, server.stop)
        await server.start([sock])
        if lifeline is not None:
            loop.add_reader(lifeline, _released, server, lifeline)
        if on_ready is not None:
            on_ready()
        await server.serve()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())


def _released(server: Server, lifeline: int) -> None:
    server.loop.remove_reader(lifeline)
    server.stop()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
