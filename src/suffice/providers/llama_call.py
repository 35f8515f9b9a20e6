"""One call to a llama.cpp server, read from an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import Future as ThreadFuture
from pathlib import Path
from typing import Any

from suffice.errors import ProviderUnavailable
from suffice.providers.llama import Delta, LlamaServer


class Call:
    """Made and read in one event loop."""

    def __init__(
        self,
        server: LlamaServer,
        body: Mapping[str, Any],
        timeout_s: float | None,
        adapter: Path | None = None,
    ) -> None:
        """
        Parameters
        ----------
        server : does the work in its own thread
        body : an OpenAI-shaped request with `stream_options.include_usage`
        timeout_s : until the end, waiting in the queue included; None sets no limit
        adapter : that answers, one that was added to the server
        """
        self._loop = asyncio.get_running_loop()
        self._deadline = None if timeout_s is None else self._loop.time() + timeout_s
        self._queue: asyncio.Queue[Delta | None] = asyncio.Queue()
        self._is_cancelled = False
        self._future: ThreadFuture[float] = server.submit(body, self._receive, adapter)
        self._future.add_done_callback(lambda _: self._put(None))

    def cancel(self) -> None:
        """Leave the queue, or stop at the next token; harmless after the end.

        llama.cpp cannot be stopped while it reads the prompt.
        """
        self._is_cancelled = True
        self._future.cancel()

    def _receive(self, delta: Delta) -> bool:
        """In the server's thread. True ends the call."""
        self._put(delta)
        return self._is_cancelled

    def _put(self, delta: Delta | None) -> None:
        # The loop may have been closed meanwhile; then nobody waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, delta)

    async def pieces(self) -> AsyncGenerator[Delta]:
        """Every piece as it comes; the one with the usage waits for the CPU time, its `compute_s`.

        Raises
        ------
        TimeoutError
            At the deadline.
        ValueError, RuntimeError
            As llama.cpp refuses a request.
        ProviderUnavailable
            If there is no model, or no word from it.
        """
        usage: Delta | None = None
        while (delta := await self._next()) is not None:
            if "usage" in delta:
                usage = delta
            else:
                yield delta
        try:
            compute_s = self._future.result(timeout=0)
        except CancelledError as error:
            raise ProviderUnavailable("the local model was closed while the call waited") from error
        if usage is None:
            raise ProviderUnavailable("llama.cpp ended the call before its last word")
        yield {**usage, "compute_s": compute_s}

    async def _next(self) -> Delta | None:
        async with asyncio.timeout_at(self._deadline):
            return await self._queue.get()
