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
from collections.abc import Callable, Mapping, Sequence
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
        self._adapters: list[Path] = []
        self._n_loaded = 0

    def add_adapter(self, path: Path) -> None:
        """Let calls name this adapter; a model that is loaded already is loaded again before the next one."""
        if path not in self._adapters:
            self._adapters.append(path)

    def submit(
        self, body: Mapping[str, Any], sink: Callable[[Delta], bool], adapter: Path | None = None
    ) -> Future[float]:
        """Queue one streamed completion; loads the model first where that has not happened.

        Parameters
        ----------
        body : an OpenAI-shaped request: of a chat, or with a `prompt` that goes to the model as it is
        sink : called in the worker thread with every piece, in the shape of a chat's; True ends the call
        adapter : a LoRA adapter in GGUF that answers, one that was added; None: the model alone

        Returns
        -------
        The CPU seconds that the call used, once it has ended. Fails with ValueError or RuntimeError
        where llama.cpp refuses the request, with ProviderUnavailable where the file cannot be loaded.
        """
        return self._worker.submit(self._run, dict(body), sink, adapter)

    @property
    def side_port(self) -> str | None:
        """Where llama.cpp's own HTTP listener sits; None before the first call."""
        return None if self._server is None else str(self._server.listening_address)

    def _run(self, body: dict[str, Any], sink: Callable[[Delta], bool], adapter: Path | None) -> float:
        if self._server is None or self._n_loaded < len(self._adapters):
            self._server = None  # its memory first
            self._load()
        before = self._cpu_s()
        body["stream"] = True
        if adapter is not None:
            body["lora"] = [{"id": self._adapters.index(adapter), "scale": 1.0}]
        if "prompt" in body:
            self._server.handle_completions(body, Said(sink))
        else:
            self._server.handle_chat_completions(body, sink)
        return self._cpu_s() - before

    def _load(self) -> None:
        path = self.settings.path
        if not path.is_file():
            raise ProviderUnavailable(
                f"no model file at {path}: run `suffice pull {path.stem}`, or set `path` to a GGUF file",
                is_retryable=False,
            )
        adapters = tuple(self._adapters)
        for adapter in adapters:
            if not adapter.is_file():
                raise ProviderUnavailable(f"no adapter at {adapter}", is_retryable=False)
        with _LOADING:
            others = _native_threads()
            try:
                self._server = _open(self.settings, adapters)
            except (RuntimeError, ValueError) as error:
                raise ProviderUnavailable(
                    f"llama.cpp cannot load {path}: {error}; wanted a GGUF file", is_retryable=False
                ) from error
            python = {thread.native_id for thread in threading.enumerate()}
            self._threads = _native_threads() - others - python
            self._n_loaded = len(adapters)

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


class Said:
    """Pieces of a plain completion, handed on in the shape of a chat's.

    An answer to a prompt that ends in "Answer:" begins with a blank, which nobody wants.
    """

    def __init__(self, sink: Callable[[Delta], bool]) -> None:
        self._sink, self._has_begun, self._has_role = sink, False, False

    def __call__(self, delta: Delta) -> bool:
        if "choices" not in delta:
            return self._sink(delta)
        delta = {**delta, "object": "chat.completion.chunk"}
        choices = [self._turned(choice) for choice in delta["choices"]]
        if delta.get("usage") is None or not any(choice["finish_reason"] for choice in choices):
            return self._sink({**delta, "choices": choices})
        rest = {name: value for name, value in delta.items() if name != "usage"}
        is_over = self._sink({**rest, "choices": choices})  # a chat's usage comes by itself
        return self._sink({**delta, "choices": []}) or is_over

    def _turned(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        text = choice.get("text") or ""
        logprobs = choice.get("logprobs")
        if not self._has_begun:
            text = text.lstrip()
            self._has_begun = bool(text)
        delta = {"content": text} if self._has_role else {"role": "assistant", "content": text}
        self._has_role = True
        rest = {name: value for name, value in choice.items() if name not in ("text", "logprobs")}
        found = {**rest, "delta": delta, "finish_reason": choice.get("finish_reason")}
        return found if logprobs is None else {**found, "logprobs": logprobs}


def _open(settings: LlamaSettings, adapters: Sequence[Path] = ()) -> Any:
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
    # a scale of 0: only calls that name an adapter have it
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in adapters]
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
