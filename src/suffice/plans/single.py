"""Ask one candidate; on failure the router's own next choice.

A fallback happens only before the first streamed content: what a client has seen is never taken back.
A candidate that fails for a passing reason is tried again after a back-off, or after the provider's
`Retry-After`; a timeout or a prompt too long for it goes on to the next at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from time import perf_counter
from typing import Final

import msgspec

from suffice.errors import (
    AllAttemptsFailed,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
)
from suffice.plans.base import Event, PlanContext
from suffice.protocols import Estimate, Model
from suffice.types import Answer, Attempt, Chunk, Decision, Options, Query, TokenLogprob, Usage

BACKOFF_S: Final = 0.25
"""Before the first retry; doubled each time, with jitter."""
LONGEST_WAIT_S: Final = 2.0
"""A longer wait is only worth it where nobody else is left to ask."""


class Single:
    """The plan `single`."""

    name = "single"

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        candidate = decision.candidate
        score = decision.of(decision.scores, candidate)
        return Estimate(
            quality=score if score is not None else float("nan"),
            cost_usd=decision.of(decision.costs_usd, candidate),
            latency_s=decision.of(decision.latencies_s, candidate),
        )

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query.

        Raises
        ------
        AllAttemptsFailed
            When no candidate answered, or the deadline passed.
        ProviderError
            When a stream broke after its first content.
        """
        deadline = perf_counter() + context.timeout_s
        attempts: list[Attempt] = []
        last: ProviderError | None = None
        n_refused = 0
        for position, name in enumerate(context.ranking):
            is_last = position + 1 == len(context.ranking)
            for retry in range(context.retries + 1):
                left = deadline - perf_counter()
                if left <= 0:
                    break
                call = _Call(context.models[name], query, _within(context.options, left))
                try:
                    if context.is_stream:
                        async for event in call.stream():
                            yield event
                    else:
                        answer = await call.answer()
                        yield call.attempt(answer=answer)
                        yield answer
                    return
                except ProviderError as error:
                    if call.has_content:
                        yield call.attempt(error)
                        raise
                    last = error
                    attempts.append(call.attempt(error))
                    yield attempts[-1]
                    wait = _wait_s(error, retry, context.retries, is_last, deadline - perf_counter())
                    if wait is None:
                        break
                    await asyncio.sleep(wait)
            n_refused += isinstance(last, ProviderRejected)
            if n_refused == 2:  # one may be a provider's taste, two are the request's fault
                break
        if last is None:
            last = ProviderTimeout(f"the deadline of {context.timeout_s:g} s left no time to ask")
        raise AllAttemptsFailed(attempts, last) from last


class _Call:
    """One attempt at one candidate."""

    __slots__ = ("_first_s", "_model", "_options", "_query", "_start", "has_content")

    def __init__(self, model: Model, query: Query, options: Options) -> None:
        self._model, self._query, self._options = model, query, options
        self._start = perf_counter()
        self._first_s: float | None = None
        self.has_content = False

    def answer(self) -> Awaitable[Answer]:
        return self._model.answer(self._query, self._options)

    def attempt(self, error: ProviderError | None = None, answer: Answer | None = None) -> Attempt:
        return Attempt(
            candidate=self._model.candidate.name,
            latency_s=perf_counter() - self._start,
            error=f"{type(error).__name__}: {error}" if error else None,
            status=error.upstream_status if error else 200,
            cost_usd=answer.cost_usd if answer else None,
        )

    async def stream(self) -> AsyncIterator[Event]:
        """Chunks, held back until the first one that says something; then the assembled answer."""
        held: list[Chunk] = []
        parts: list[str] = []
        logprobs: list[TokenLogprob] = []
        usage, finish = Usage(), None
        chunks = self._model.stream(self._query, self._options)
        try:
            async for chunk in chunks:
                if chunk.text:
                    parts.append(chunk.text)
                if chunk.usage is not None:
                    usage = chunk.usage
                if chunk.finish_reason is not None:
                    finish = chunk.finish_reason
                if chunk.logprobs:
                    logprobs.extend(chunk.logprobs)
                if self.has_content:
                    yield chunk
                elif chunk.has_content:
                    self.has_content = True
                    self._first_s = perf_counter() - self._start
                    for earlier in held:
                        yield earlier
                    held.clear()
                    yield chunk
                else:
                    held.append(chunk)
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]  # streams are async generators
        for earlier in held:  # an answer without content: a stop at once, say
            yield earlier
        candidate = self._model.candidate
        answer = Answer(
            content="".join(parts),
            candidate=candidate.name,
            usage=usage,
            cost_usd=candidate.price.cost_usd(usage),
            latency_s=perf_counter() - self._start,
            first_token_s=self._first_s,
            finish_reason=finish,
            logprobs=tuple(logprobs) or None,
        )
        yield self.attempt(answer=answer)
        yield answer


def _within(options: Options, left_s: float) -> Options:
    """The options with no more time than is left."""
    if options.timeout_s is not None and options.timeout_s <= left_s:
        return options
    return msgspec.structs.replace(options, timeout_s=left_s)


def _wait_s(error: ProviderError, retry: int, retries: int, is_last: bool, left_s: float) -> float | None:
    """How long to wait before this candidate is asked again; None: not again."""
    if retry >= retries or not error.is_retryable:
        return None
    if isinstance(error, ProviderTimeout) and not is_last:
        return None
    wait = error.retry_after_s
    if wait is None:
        wait = BACKOFF_S * 2**retry * random.uniform(0.5, 1.0)
    if wait >= left_s or (wait > LONGEST_WAIT_S and not is_last):
        return None
    return wait
