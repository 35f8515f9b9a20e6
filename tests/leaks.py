"""Runs a coroutine and checks that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

Runner = Callable[[Coroutine[Any, Any, Any]], Any]
LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


def n_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def run_clean(main: Callable[[], Awaitable[None]], *, loop: str = "asyncio") -> None:
    """Run on that loop; file descriptors and tasks must be back to where they were."""

    async def watched() -> None:
        # libuv takes one descriptor in reserve with its first listening socket, and keeps it.
        (await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)).close()
        await asyncio.sleep(0.01)
        fds = n_fds()
        await main()
        for _ in range(100):
            if n_fds() <= fds and len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0.01)
        assert n_fds() <= fds, f"{n_fds() - fds} file descriptors leaked"
        assert len(asyncio.all_tasks()) == 1, f"tasks leaked: {asyncio.all_tasks()}"

    LOOPS[loop](watched())
    gc.collect(1)  # what the run left unclosed warns now
