"""The start-up and shutdown half of ASGI, run in the loop that will serve."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from suffice.errors import ConfigError
from suffice.gateway.exchange import Application, Message, describe

WORKER: Final = "suffice.worker"
"""In the state at start-up: which of several workers this is, from 0."""

_log = logging.getLogger("suffice.gateway")


class Lifespan:
    """Tells an application that serving begins and ends; one that does not care is left alone."""

    def __init__(self, application: Application, worker: int = 0) -> None:
        self._application = application
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._replies: dict[str, asyncio.Future[str | None]] = {}
        self.state: dict[str, Any] = {WORKER: worker}
        """What the application wants to see in the scope of every request."""

    async def startup(self) -> None:
        """Returns once the application is ready.

        Raises
        ------
        ConfigError
            If the application says that it cannot start.
        """
        loop = asyncio.get_running_loop()
        self._replies = {phase: loop.create_future() for phase in ("startup", "shutdown")}
        self._task = loop.create_task(self._run())
        failure = await self._tell("startup")
        self.state.pop(WORKER, None)
        if failure is not None:
            await self._task
            raise ConfigError(failure)

    async def shutdown(self) -> None:
        """Returns once the application has cleaned up."""
        if self._task is None:
            return
        if not self._task.done():
            failure = await self._tell("shutdown")
            if failure is not None:
                _log.error("shutdown failed: %s", failure)
        await self._task

    async def _tell(self, phase: str) -> str | None:
        self._inbox.put_nowait({"type": f"lifespan.{phase}"})
        return await self._replies[phase]

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._inbox.get, self._send)
        except Exception as error:
            # Before it said anything this means "no lifespan here"; afterwards it is a failure.
            if self._replies["startup"].done():
                _log.error("lifespan failed: %s", describe(error))
        for reply in self._replies.values():
            if not reply.done():
                reply.set_result(None)

    async def _send(self, message: Message) -> None:
        _, phase, outcome = message["type"].split(".")
        failure = None if outcome == "complete" else message.get("message") or "no reason given"
        if not self._replies[phase].done():
            self._replies[phase].set_result(failure)
