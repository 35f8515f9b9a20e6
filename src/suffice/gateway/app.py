"""The gateway as an ASGI application; runs under this package's server or any other.

Gateway(lambda: suffice.build.build(config), is_loopback=True)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from suffice.engine import CLIENT_GONE, Engine
from suffice.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    ProviderError,
    StoreError,
    SufficeError,
    Unauthorized,
)
from suffice.gateway.auth import Access, Doorman
from suffice.gateway.board import Board
from suffice.gateway.call import Call, until_gone
from suffice.gateway.exchange import ClientGone, Receive, Scope, Send, describe
from suffice.gateway.lifespan import WORKER
from suffice.gateway.metrics import Metrics
from suffice.gateway.routes import Handler, Route, find
from suffice.gateway.wire import Header
from suffice.types import Caller

MAX_IN_FLIGHT: Final = 2048
LONGEST_RETRY_S: Final = 60.0
"""A client need not try again a request that a budget refuses for longer."""
_PUBLISH_S: Final = 1.0

_log = logging.getLogger("suffice.gateway")


class Gateway:
    """Routes HTTP requests to an engine."""

    engine: Engine

    def __init__(
        self,
        build: Callable[[], Engine],
        *,
        demands_key: bool | None = None,
        is_loopback: bool = False,
        keep_content: bool = False,
        max_body_bytes: int = 20_000_000,
        max_in_flight: int = MAX_IN_FLIGHT,
        board: Board | None = None,
    ) -> None:
        """
        Parameters
        ----------
        build : makes the engine, in the process and the event loop that will use it
        demands_key : None demands a key unless bound to loopback and no key was ever made
        is_loopback : whether only this machine can reach the server; says nothing by itself
        keep_content : whether queries and answers of keyless callers are stored
        max_in_flight : requests answered at once; one more gets 503
        board : where several workers add up their metrics
        """
        self.metrics = Metrics(board)
        self._board = board
        self._publishing: asyncio.Task[None] | None = None
        self.max_body_bytes = max_body_bytes
        self.started_at = 0
        self._build = build
        self._demands_key = demands_key
        self._is_loopback = is_loopback
        self._keyless = Caller(keep_content=keep_content)
        self._max_in_flight = max_in_flight
        self._doorman: Doorman | None = None

    async def startup(self, worker: int = 0) -> None:
        """Build the engine; called by the server through the lifespan protocol."""
        self.engine = self._build()
        self.started_at = int(time.time())
        self._doorman = Doorman(
            self.engine.store,
            demands_key=self._demands_key,
            is_loopback=self._is_loopback,
            keyless=self._keyless,
        )
        self.metrics.watch(self.engine)
        self.metrics.resume(worker)
        if self._board is not None:
            self._publishing = asyncio.get_running_loop().create_task(self._publish())

    async def shutdown(self) -> None:
        """Close the engine; what is queued is written first."""
        if self._publishing is not None:
            self._publishing.cancel()
            with contextlib.suppress(StoreError):
                await self.engine.store.drain()
            self.metrics.publish(await self.store_stats())
        await self.engine.close()

    async def store_stats(self) -> Mapping[str, Any]:
        """What the store says of itself; nothing if it cannot."""
        try:
            return await asyncio.to_thread(self.engine.store.stats)
        except StoreError:
            return {}

    async def _publish(self) -> None:
        """Show the other workers once a second what this one counts."""
        while True:
            self.metrics.publish(await self.store_stats())
            await asyncio.sleep(_PUBLISH_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        call = Call(scope, receive, send)
        counts = self.metrics.counts
        counts.in_flight += 1
        route = None
        try:
            route = find(call.path)
            handler = self._admit(route, call)
            if call.is_ours:
                await handler(self, call)
            else:
                await until_gone(handler(self, call), call)
        except Exception as error:
            await self._fail(call, route, error)
        except asyncio.CancelledError:
            if not call.is_started:
                self.metrics.refused(_name(route), CLIENT_GONE)
            raise
        finally:
            counts.in_flight -= 1

    def _admit(self, route: Route | None, call: Call) -> Handler:
        """What answers the call, once it is clear that the caller may ask for it."""
        if route is None:
            raise NotFound("there is nothing here; the API is at /v1/chat/completions")
        handler = route.handlers.get(call.method)
        if handler is None:
            raise MethodNotAllowed(f"{call.method} is not answered here; use {route.allowed}")
        doorman = self._doorman
        assert doorman is not None, "the server did not run the lifespan protocol"
        if route.access is not Access.OPEN and call.method != "OPTIONS":
            call.caller = doorman.admit(route.access, call.headers)
        if self.metrics.counts.in_flight > self._max_in_flight:
            raise Overloaded(f"more than {self._max_in_flight} requests are being answered; try again soon")
        return handler

    async def _fail(self, call: Call, route: Route | None, error: Exception) -> None:
        """Answer an error in OpenAI's shape, if nothing was answered yet."""
        if isinstance(error, ClientGone):
            raise error
        if isinstance(error, RecursionError):
            error = InvalidRequest("the body is nested too deeply; send flatter JSON")
        elif not isinstance(error, SufficeError):
            # The message of an unforeseen error may hold a secret: its type and place do not.
            _log.error("%s failed: %s", _name(route), describe(error))
            error = SufficeError("the gateway failed; its log says where")
        elif error.status >= 500:
            _log.warning("%s: %s %d %s", error.record_id or "-", _name(route), error.status, error.code)
        assert isinstance(error, SufficeError)
        if error.record_id is None:
            self.metrics.refused(_name(route), error.status)
        else:
            self.metrics.failed(error.status, getattr(error, "attempts", ()))
        if not call.is_started:
            await call.fail(error, _error_headers(error, route))

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start-up and shutdown."""
        if scope["type"] != "lifespan":
            raise NotImplementedError(f"{scope['type']!r} is not spoken here")
        await receive()
        try:
            await self.startup(scope.get("state", {}).pop(WORKER, 0))
        except Exception as error:
            shown = str(error) if isinstance(error, SufficeError) else describe(error)
            await send({"type": "lifespan.startup.failed", "message": shown})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self.shutdown()
        except SufficeError as error:
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def _name(route: Route | None) -> str:
    """For metrics and the log."""
    return route.name if route is not None else "unknown"


def _error_headers(error: SufficeError, route: Route | None) -> list[Header]:
    """What a client needs to know to do better."""
    if isinstance(error, Unauthorized):
        return [(b"www-authenticate", b"Bearer")]
    if isinstance(error, MethodNotAllowed) and route is not None:
        return [(b"allow", route.allowed.encode())]
    cause = error.last if isinstance(error, AllAttemptsFailed) else error
    wait_s = cause.retry_after_s if isinstance(cause, ProviderError) else None
    if wait_s is None and error.status == Overloaded.status:
        wait_s = 1.0
    headers = [] if wait_s is None else [(b"retry-after", b"%d" % math.ceil(wait_s))]
    if isinstance(cause, BudgetExceeded) and (wait_s is None or wait_s > LONGEST_RETRY_S):
        headers.append((b"x-should-retry", b"false"))  # OpenAI's clients try a 429 again unless told not to
    return headers
