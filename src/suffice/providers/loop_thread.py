"""An event loop in a thread of its own, for blocking callers of asynchronous code."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from suffice.providers.http import HttpClient

T = TypeVar("T")


class LoopThread:
    """Runs coroutines that use one HttpClient; ends with `stop`, or with the process."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._http = HttpClient()
        self._thread = threading.Thread(
            target=_serve, args=(self._loop,), name="suffice-embedder", daemon=True
        )
        self._thread.start()
        self._stop = weakref.finalize(self, _stop, self._loop, self._http, self._thread, self._pid)

    @property
    def is_alive(self) -> bool:
        """False once stopped, and in a forked child, which has no such thread."""
        return self._thread.is_alive() and self._pid == os.getpid()

    def call(self, work: Callable[[HttpClient], Coroutine[Any, Any, T]]) -> T:
        """Run `work` there and wait for its result."""
        future = asyncio.run_coroutine_threadsafe(work(self._http), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self._stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _stop(loop: asyncio.AbstractEventLoop, http: HttpClient, thread: threading.Thread, pid: int) -> None:
    if pid != os.getpid() or loop.is_closed():
        return
    if thread.is_alive():
        asyncio.run_coroutine_threadsafe(http.close(), loop).result(timeout=2.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=2.0)
    if not loop.is_running():
        loop.close()
