"""What all calls of a plan took together, and an answer that says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from time import perf_counter
from typing import Any

import msgspec

from suffice.errors import ProviderError
from suffice.plans.asking import Reply
from suffice.plans.base import Event
from suffice.protocols import Model
from suffice.providers.translation import usage_body
from suffice.types import Answer, Attempt, Candidate, Chunk, Options, Query, Usage


class Spent:
    """Usage and cost, added up. A sum with an unknown part is unknown; calls that failed count nothing."""

    def __init__(self) -> None:
        self.start = perf_counter()
        self._answers: list[Answer] = []
        self._extra_usd: list[Decimal | None] = []
        self.attempts: list[Attempt] = []
        """Of watched models, until they are taken."""

    def add(self, answer: Answer | None) -> None:
        if answer is not None:
            self._answers.append(answer)

    def estimate(self, cost_usd: Decimal | None) -> None:
        """A call whose cost nobody reported."""
        self._extra_usd.append(cost_usd)

    @property
    def has_answers(self) -> bool:
        return bool(self._answers)

    @property
    def usage(self) -> Usage:
        return total([answer.usage for answer in self._answers])

    @property
    def cost_usd(self) -> Decimal | None:
        costs = [*(answer.cost_usd for answer in self._answers), *self._extra_usd]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) and costs else None

    @property
    def known_usd(self) -> float:
        """At least this much was spent."""
        costs = [*(answer.cost_usd for answer in self._answers), *self._extra_usd]
        return float(sum(cost for cost in costs if cost is not None))

    def watched(self, model: Model, role: str) -> Model:
        """The model; its calls are counted here, and leave attempts to be taken."""
        return _Watched(model, self, role)

    def taken(self) -> Sequence[Attempt]:
        """The attempts since the last time."""
        attempts, self.attempts = self.attempts, []
        return attempts

    def settled(self, reply: Reply) -> tuple[Answer, Sequence[Chunk]]:
        """An answer that was held back, with the usage, cost and time of all calls, and its chunks."""
        answer = reply.answer
        assert answer is not None
        took = perf_counter() - self.start
        usage = self.usage
        is_more = len(self._answers) > 1
        whole = msgspec.structs.replace(
            answer,
            usage=usage,
            cost_usd=self.cost_usd,
            latency_s=took,
            first_token_s=took if reply.chunks else answer.first_token_s,
            body=with_usage(answer.body, usage) if is_more and answer.body is not None else answer.body,
        )
        return whole, [shown(chunk, usage) if is_more else chunk for chunk in reply.chunks]


def total(usages: Sequence[Usage]) -> Usage:
    """Sums. Tokens are unknown if one part is; what is only a part of them is the sum of what is known.

    Examples
    --------
    >>> total([Usage(prompt_tokens=3, completion_tokens=1), Usage(prompt_tokens=4)])
    Usage(prompt_tokens=7, completion_tokens=None, cached_tokens=None, reasoning_tokens=None, compute_s=None)
    """

    def added(name: str, *, is_part: bool) -> Any:
        values = [getattr(usage, name) for usage in usages]
        known = [value for value in values if value is not None]
        return sum(known) if known and (is_part or len(known) == len(values)) else None

    return Usage(
        prompt_tokens=added("prompt_tokens", is_part=False),
        completion_tokens=added("completion_tokens", is_part=False),
        cached_tokens=added("cached_tokens", is_part=True),
        reasoning_tokens=added("reasoning_tokens", is_part=True),
        compute_s=added("compute_s", is_part=True),
    )


def shown(chunk: Chunk, usage: Usage) -> Chunk:
    """The chunk with these sums, where it carries usage for the client."""
    if chunk.usage is None or not chunk.data:
        return chunk
    return msgspec.structs.replace(chunk, usage=usage, data=with_usage(chunk.data, usage))


def with_usage(data: bytes, usage: Usage) -> bytes:
    """The same JSON object with that usage; as it is where a sum is unknown or it carries none."""
    if usage.total_tokens is None:
        return data
    value = msgspec.json.decode(data)
    if not isinstance(value, dict) or not value.get("usage"):
        return data
    return msgspec.json.encode({**value, "usage": usage_body(usage)})


async def onward(spent: Spent, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The events of a plan's last part, as they come; usage, cost and times are those of all calls."""
    before, before_s = spent.usage, perf_counter() - spent.start
    is_more = spent.has_answers
    async with aclosing(events) as running:  # type: ignore[type-var]  # plans are async generators
        async for event in running:
            if is_more and isinstance(event, Chunk) and event.usage is not None:
                yield shown(event, total([before, event.usage]))
            elif is_more and isinstance(event, Answer):
                spent.add(event)
                first_s = event.first_token_s
                yield msgspec.structs.replace(
                    event,
                    usage=spent.usage,
                    cost_usd=spent.cost_usd,
                    latency_s=perf_counter() - spent.start,
                    first_token_s=None if first_s is None else before_s + first_s,
                    body=None if event.body is None else with_usage(event.body, spent.usage),
                )
            else:
                yield event


class _Watched:
    """A model whose calls are counted."""

    def __init__(self, model: Model, spent: Spent, role: str) -> None:
        self._model, self._spent, self._role = model, spent, role

    @property
    def candidate(self) -> Candidate:
        return self._model.candidate

    async def answer(self, query: Query, options: Options) -> Answer:
        start = perf_counter()
        try:
            answer = await self._model.answer(query, options)
        except ProviderError as error:
            self._left(start, f"{type(error).__name__}: {error}", error.upstream_status, None)
            raise
        self._spent.add(answer)
        self._left(start, None, 200, answer.cost_usd)
        return answer

    def _left(self, start: float, error: str | None, status: int | None, cost_usd: Decimal | None) -> None:
        self._spent.attempts.append(
            Attempt(
                candidate=self.candidate.name,
                latency_s=perf_counter() - start,
                error=error,
                status=status,
                cost_usd=cost_usd,
                role=self._role,
            )
        )

    def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        return self._model.stream(query, options)

    async def close(self) -> None:
        await self._model.close()
