"""llama.cpp in this process: one server per model file, one call at a time, its CPU seconds counted.

`xllamacpp.Server` also opens an HTTP port on the loopback interface. Nothing here uses it, and every
request to it is refused: it listens on 127.0.0.1 only, on a port the system picks, and wants a random
key that is told to nobody. Only `/health` answers without the key, and says no more than "ok".
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice.errors import ConfigError, ProviderUnavailable

_NS: Final = 1e-9
_TASKS: Final = Path("/proc/self/task")

Delta = Mapping[str, Any]


class LlamaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model file is loaded; candidates that share the file share these too."""

    path: Path
    threads: int = 0
    """0 takes every physical core, at most 2: an oversubscribed llama.cpp slows down tenfold."""
    context: int = 4096
    """Tokens of prompt and answer together."""

    def n_threads(self) -> int:
        return self.threads or min(2, max(1, (os.cpu_count() or 2) // 2))


class LlamaServer:
    """One loaded model file. Calls queue for one worker thread, so the event loop never waits."""

    def __init__(self, settings: LlamaSettings) -> None:
        self.settings = settings
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"llama-{settings.path.stem}")
        self._server: Any = None
        self._threads: frozenset[int] = frozenset()

    def submit(self, body: Mapping[str, Any], sink: Callable[[Delta], bool]) -> Future[float]:
        """Queue one streamed chat completion; loads the model first where that has not happened.

        Parameters
        ----------
        body : an OpenAI-shaped request
        sink : called in the worker thread with every piece; True ends the call

        Returns
        -------
        The CPU seconds that the call used, once it has ended. Fails with ValueError or RuntimeError
        where llama.cpp refuses the request, with ProviderUnavailable where the file cannot be loaded.
        """
        return self._worker.submit(self._run, dict(body), sink)

    @property
    def side_port(self) -> str | None:
        """Where llama.cpp's own HTTP listener sits; None before the first call."""
        return None if self._server is None else str(self._server.listening_address)

    def _run(self, body: dict[str, Any], sink: Callable[[Delta], bool]) -> float:
        if self._server is None:
            self._load()
        before = self._cpu_s()
        self._server.handle_chat_completions({**body, "stream": True}, sink)
        return self._cpu_s() - before

    def _load(self) -> None:
        path = self.settings.path
        if not path.is_file():
            raise ProviderUnavailable(
                f"no model file at {path}: run `suffice pull {path.stem}`, or set `path` to a GGUF file",
                is_retryable=False,
            )
        with _LOADING:
            others = _native_threads()
            try:
                self._server = _open(self.settings)
            except (RuntimeError, ValueError) as error:
                raise ProviderUnavailable(
                    f"llama.cpp cannot load {path}: {error}; wanted a GGUF file", is_retryable=False
                ) from error
            python = {thread.native_id for thread in threading.enumerate()}
            self._threads = _native_threads() - others - python

    def _cpu_s(self) -> float:
        """CPU seconds so far of the threads which llama.cpp started when this file was loaded.

        Read from the kernel's per-thread counters, so work of the gateway or of a second model in this
        process is not counted. Elsewhere than on Linux: of the whole process, an upper bound.
        """
        if not self._threads:
            return time.process_time()
        return sum(_thread_ns(thread) for thread in self._threads) * _NS

    def close(self) -> None:
        """Start no further call; the model is freed with the last reference to this server."""
        self._worker.shutdown(wait=False, cancel_futures=True)


def _open(settings: LlamaSettings) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(settings.path)
    params.cpuparams.n_threads = settings.n_threads()
    params.cpuparams_batch.n_threads = settings.n_threads()
    params.n_ctx = settings.context
    params.n_parallel = 1
    params.warmup = False
    params.verbosity = -1
    params.cache_ram_mib = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_threads_http = 1
    params.api_keys = [secrets.token_urlsafe(32)]
    params.endpoint_slots = False
    params.ui = False
    return xllamacpp.Server(params)


def _native_threads() -> frozenset[int]:
    with contextlib.suppress(OSError):
        return frozenset(int(name) for name in os.listdir(_TASKS))
    return frozenset()


def _thread_ns(thread: int) -> int:
    """Nanoseconds that a thread spent on a CPU: the first field of schedstat (proc(5))."""
    try:
        return int((_TASKS / str(thread) / "schedstat").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


_SERVERS: weakref.WeakValueDictionary[Path, LlamaServer] = weakref.WeakValueDictionary()
_POOL: Final = threading.Lock()
_LOADING: Final = threading.Lock()
"""Loads happen one after another, so that the threads which one starts are known to be its own."""


def shared_server(settings: LlamaSettings) -> LlamaServer:
    """The server of a model file, made on first use and dropped with its last holder.

    Raises
    ------
    ConfigError
        If the file is in use with other settings.
    """
    path = settings.path.expanduser().resolve()
    settings = msgspec.structs.replace(settings, path=path)
    with _POOL:
        server = _SERVERS.get(path)
        if server is None:
            server = _SERVERS[path] = LlamaServer(settings)
        elif server.settings != settings:
            raise ConfigError(
                f"{path} is loaded with {server.settings.threads} threads and a context of "
                f"{server.settings.context}, and wanted again with {settings.threads} and "
                f"{settings.context}; candidates of one model file share it, give them the same values"
            )
        return server
