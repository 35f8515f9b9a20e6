"""A model on this machine, through llama.cpp.

A local model is not free: its price is a stated one per CPU hour (`usd_per_cpu_hour`), and
`usage.compute_s` says how many CPU seconds a call took. Tokens that llama.cpp still holds from the call
before are not computed again; `usage.cached_tokens` counts them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from suffice.errors import (
    ConfigError,
    ContextOverflow,
    MissingDependency,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from suffice.providers.adapter_student import AdapterStudent
from suffice.providers.base import ProviderSettings, check_options
from suffice.providers.llama import Delta, LlamaServer, LlamaSettings, shared_server
from suffice.providers.llama_call import Call
from suffice.providers.llama_reply import Reply, has_content, token_logprobs, usage_of
from suffice.providers.model_files import model_file
from suffice.types import Answer, Candidate, Chunk, Options, Query

_log = logging.getLogger(__name__)

PASSED: Final = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "repeat_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
    ]
)
"""Request fields that llama.cpp is given. Others are left out: some of its own change the server."""

_OURS: Final = frozenset({"path", "threads", "context", "system", "max_tokens", "adapter"})
_CAN: Final = frozenset({"tools", "json", "logprobs", "streaming"})
"""Not images: those go to another candidate."""


class LocalModel:
    """One candidate that runs a GGUF file; candidates of the same file share its memory and its queue."""

    def __init__(
        self,
        candidate: Candidate,
        server: LlamaServer,
        *,
        system: str | None = None,
        max_tokens: int = 512,
        timeout_s: float | None = None,
        student: AdapterStudent | None = None,
    ) -> None:
        """
        Parameters
        ----------
        candidate : its `model` is what answers call themselves
        server : of the model's file
        system : put before the client's messages, such as "Think step by step."
        max_tokens : where the request sets no limit, at least 1
        timeout_s : for the whole call, waiting in the queue included
        student : an adapter of this model that answers in its place
        """
        self.candidate = candidate
        self.server = server
        self._system = system
        self._max_tokens = max_tokens
        self._timeout_s = timeout_s
        self._student = student
        if student is not None:
            server.add_adapter(student.path)

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: object = None) -> Self:
        """Loads nothing yet: the first call does.

        `settings.extra` may hold `path` (default: the file that `suffice pull MODEL` keeps), `threads`,
        `context`, `system`, `max_tokens` and `adapter`: the folder of a student that `suffice distill train`
        made of this base, or an adapter's GGUF file. Candidates of one base share its memory.

        Raises
        ------
        ConfigError
            If a value of `extra` is unknown or out of range.
        MissingDependency
            If xllamacpp is not installed.
        """
        if find_spec("xllamacpp") is None:
            raise MissingDependency("xllamacpp", "local", "a local model")
        extra = dict(settings.extra)
        check_options(candidate.name, extra, _OURS)
        path = extra.get("path")
        system = extra.get("system")
        if not isinstance(path, str | Path | None) or not isinstance(system, str | None):
            raise ConfigError(f"{candidate.name}: path and system are text, got {path!r} and {system!r}")
        llama = LlamaSettings(
            path=Path(path) if path else model_file(candidate.model),
            threads=_whole(extra, "threads", 0, 0, candidate.name),
            context=_whole(extra, "context", 4096, 64, candidate.name),
        )
        if not llama.path.is_file():
            _log.warning(
                "%s cannot answer yet: no model file at %s; `suffice pull` fetches one",
                candidate.name,
                llama.path,
            )
        if not candidate.capabilities:
            candidate = msgspec.structs.replace(candidate, capabilities=_CAN)
        limit = _whole(extra, "max_tokens", candidate.max_output_tokens or 512, 1, candidate.name)
        timeout_s = settings.timeout_s
        student = (
            None if extra.get("adapter") is None else AdapterStudent.open(extra["adapter"], candidate.name)
        )
        return cls(
            candidate,
            shared_server(llama),
            system=system,
            max_tokens=limit,
            timeout_s=timeout_s,
            student=student,
        )

    async def answer(self, query: Query, options: Options) -> Answer:
        """The whole answer. Raises ProviderError, and nothing else, when the call fails."""
        start = time.perf_counter()
        reply, first_s = Reply(), None
        async with aclosing(self._deltas(query, options)) as deltas:
            async for delta in deltas:
                reply.add(delta)
                if first_s is None and reply.has_content:
                    first_s = time.perf_counter() - start
        logprobs = tuple(reply.logprobs) if options.wants_logprobs else None
        return Answer(
            content=reply.text,
            candidate=self.candidate.name,
            usage=reply.usage,
            cost_usd=self.candidate.price.cost_usd(reply.usage),
            latency_s=time.perf_counter() - start,
            first_token_s=first_s,
            finish_reason=reply.finish_reason,
            tool_calls=tuple(reply.tool_calls),
            logprobs=logprobs,
            no_logprobs=None if options.wants_logprobs else "not asked for",
            body=msgspec.json.encode(reply.body(self.candidate.model)),
        )

    async def stream(self, query: Query, options: Options) -> AsyncGenerator[Chunk]:
        """As `answer`, one chunk per token, then one with the usage."""
        async with aclosing(self._deltas(query, options)) as deltas:
            async for delta in deltas:
                yield self._chunk(delta, options)

    def _chunk(self, delta: Delta, options: Options) -> Chunk:
        choice = delta["choices"][0] if delta.get("choices") else {}
        said = choice.get("delta") or {}
        usage = usage_of(delta) if "usage" in delta else None
        is_hidden = usage is not None and not choice and not options.wants_stream_usage
        shown = {key: value for key, value in delta.items() if key != "compute_s"}
        return Chunk(
            data=b"" if is_hidden else msgspec.json.encode({**shown, "model": self.candidate.model}),
            text=said.get("content") or "",
            has_content=has_content(said),
            usage=usage,
            finish_reason=choice.get("finish_reason"),
            logprobs=token_logprobs(choice),
        )

    async def close(self) -> None:
        """Nothing to do: the file's memory is freed with the last candidate that uses it."""

    def _body(self, query: Query, options: Options) -> dict[str, Any]:
        fields = options.fields
        if fields.get("n") not in (None, 1):
            raise ProviderRejected(
                f"n = {fields['n']!r}: a local model gives one answer a call", candidate=self.candidate.name
            )
        if self._student is not None and self._student.card is not None:
            return self._student.body(query, options)
        limits = [self.candidate.max_output_tokens, options.max_tokens or self._max_tokens]
        system = [{"role": "system", "content": self._system}] if self._system else []
        return {
            **{name: value for name, value in fields.items() if name in PASSED and value is not None},
            "messages": [*system, *query.chat()],
            "max_tokens": min(limit for limit in limits if limit is not None),
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
        }

    async def _deltas(self, query: Query, options: Options) -> AsyncGenerator[Delta]:
        """llama.cpp's pieces; the one with the usage comes last and carries `compute_s`."""
        name, limits = self.candidate.name, (options.timeout_s, self._timeout_s)
        timeout_s = min((limit for limit in limits if limit is not None), default=None)
        adapter = None if self._student is None else self._student.path
        call = Call(self.server, self._body(query, options), timeout_s, adapter)
        try:
            async with aclosing(call.pieces()) as pieces:
                async for delta in pieces:
                    if "error" in delta:
                        raise _refused(delta["error"], name)
                    yield delta
        except TimeoutError as error:
            raise ProviderTimeout(f"no end after {timeout_s} s", candidate=name) from error
        except (ValueError, RuntimeError) as error:
            raise ProviderRejected(str(error), candidate=name) from error
        except ProviderUnavailable as error:
            raise ProviderUnavailable(str(error), candidate=name, is_retryable=error.is_retryable) from error
        finally:
            call.cancel()


def _refused(error: Mapping[str, Any], candidate: str) -> ProviderError:
    """llama.cpp's error object as one of ours."""
    message, code = str(error.get("message", error)), error.get("code")
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(message, candidate=candidate, upstream_status=code)
    if isinstance(code, int) and code >= 500:
        return ProviderUnavailable(message, candidate=candidate, upstream_status=code)
    return ProviderRejected(message, candidate=candidate, upstream_status=code)


def _whole(extra: Mapping[str, Any], name: str, default: int, least: int, candidate: str) -> int:
    value = extra.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{candidate}: {name} = {value!r}; wanted a whole number of at least {least}")
    return value
