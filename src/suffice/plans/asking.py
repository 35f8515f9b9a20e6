"""Calls inside a plan that asks more than once: each goes the way of `Single`, and comes back whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from suffice.errors import AllAttemptsFailed, InvalidRequest, ProviderError
from suffice.plans.base import PlanContext
from suffice.plans.logprobs import AskingModel
from suffice.plans.single import Single
from suffice.protocols import Model
from suffice.types import Answer, Attempt, Chunk, Decision, Options, Query

T = TypeVar("T")
_single = Single()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking: an answer with its chunks, where a stream was wanted, or an error."""

    answer: Answer | None = None
    attempts: tuple[Attempt, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    error: ProviderError | None = None


async def ask(
    query: Query,
    context: PlanContext,
    names: Sequence[str],
    deadline: float,
    *,
    role: str = "",
    options: Options | None = None,
    is_stream: bool | None = None,
) -> Reply:
    """One answer from the first of `names` that gives one; nothing is streamed on yet.

    Parameters
    ----------
    deadline : on the clock of `perf_counter`
    role : of the attempts
    options, is_stream : instead of the context's
    """
    attempts: list[Attempt] = []
    while True:
        chunks: list[Chunk] = []
        answer = None
        events = _single.run(query, narrowed(context, names, deadline, options, is_stream))
        try:
            async with aclosing(events) as running:  # type: ignore[type-var]  # plans are async generators
                async for event in running:
                    if isinstance(event, Attempt):
                        attempts.append(with_role(event, role))
                    elif isinstance(event, Chunk):
                        chunks.append(event)
                    elif isinstance(event, Answer):
                        answer = event
        except ProviderError as error:  # a stream that broke: nobody saw it, so the next is asked
            tried = {attempt.candidate for attempt in attempts}
            names = [name for name in names if name not in tried]
            if not names:
                return Reply(attempts=tuple(attempts), error=error)
        except AllAttemptsFailed as failed:
            return Reply(attempts=tuple(attempts), error=failed.last)
        else:
            return Reply(answer=answer, attempts=tuple(attempts), chunks=tuple(chunks))


def narrowed(
    context: PlanContext,
    names: Sequence[str],
    deadline: float,
    options: Options | None = None,
    is_stream: bool | None = None,
) -> PlanContext:
    """The context of one call inside a plan."""
    return msgspec.structs.replace(
        context,
        ranking=tuple(names),
        timeout_s=max(deadline - perf_counter(), 0.0),
        options=context.options if options is None else options,
        is_stream=context.is_stream if is_stream is None else is_stream,
    )


def with_role(attempt: Attempt, role: str) -> Attempt:
    return msgspec.structs.replace(attempt, role=role) if role else attempt


async def as_finished(calls: Sequence[Coroutine[Any, Any, T]]) -> AsyncGenerator[tuple[int, T]]:
    """The calls' places and results as they come; closing it cancels those under way, and waits for them."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    places = {task: place for place, task in enumerate(tasks)}
    left = set(tasks)
    try:
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=places.__getitem__):
                yield places[task], task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class AskedForLogprobs:
    """Models that are asked for log-probabilities, each wrapped once: a refusal is remembered."""

    def __init__(self, n_alternatives: int | None) -> None:
        self._n_alternatives = n_alternatives
        self._made: dict[str, tuple[Model, AskingModel]] = {}

    def of(self, models: Mapping[str, Model]) -> Mapping[str, Model]:
        for name, model in models.items():
            known, before = self._made.get(name, (None, None))
            if known is not model:  # the first, or wrapped anew for each request, as budgets do
                self._made[name] = model, AskingModel(model, self._n_alternatives, before)
        return {name: self._made[name][1] for name in models}


def predicted_usd(decision: Decision | None, name: str) -> float | None:
    """The cost of one answer of that candidate, as the decision has it."""
    return None if decision is None else decision.of(decision.costs_usd, name)


def one_answer_only(plan: str, options: Options) -> None:
    """Raise InvalidRequest where a client wants several answers from a plan that gives one."""
    if options.fields.get("n") not in (None, 1):
        raise InvalidRequest(f"`n`: the plan {plan!r} gives one answer; leave it out", param="n")
