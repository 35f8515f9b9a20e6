"""Models that say what a test tells them to: real async code, no network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from suffice.errors import ProviderError
from suffice.types import (
    Answer,
    Candidate,
    Chunk,
    Explanation,
    FloatArray,
    Options,
    Price,
    Query,
    Usage,
)

CHEAP = Price(input_usd_per_mtok=Decimal("0.1"), output_usd_per_mtok=Decimal("0.4"))
DEAR = Price(input_usd_per_mtok=Decimal("2.5"), output_usd_per_mtok=Decimal("10"))


class FakeModel:
    """Answers from a script: each call takes the next step; an error is raised, a text is said."""

    def __init__(
        self,
        name: str,
        *steps: str | ProviderError,
        price: Price = CHEAP,
        cut_after: int | None = None,
        stall_s: float = 0.0,
        **candidate: Any,
    ) -> None:
        self.candidate = Candidate(name=name, provider="fake", model=name, price=price, **candidate)
        self._steps = list(steps) or [f"{name} says"]
        self._cut_after = cut_after
        self._stall_s = stall_s
        self.n_calls = 0
        self.n_closed_early = 0
        self.options: list[Options] = []

    def _next(self, options: Options) -> str:
        step = self._steps[min(self.n_calls, len(self._steps) - 1)]
        self.n_calls += 1
        self.options.append(options)
        if isinstance(step, ProviderError):
            raise step
        return step

    async def answer(self, query: Query, options: Options) -> Answer:
        text = self._next(options)
        await asyncio.sleep(self._stall_s)
        usage = Usage(prompt_tokens=len(query.text.split()), completion_tokens=len(text.split()))
        body = {
            "id": "x",
            "object": "chat.completion",
            "model": self.candidate.model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
        }
        return Answer(
            content=text,
            candidate=self.candidate.name,
            usage=usage,
            cost_usd=self.candidate.price.cost_usd(usage),
            finish_reason="stop",
            body=msgspec.json.encode(body),
        )

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        is_done = False
        try:
            words = self._next(options).split()
            yield _chunk({"role": "assistant"})
            for position, word in enumerate(words):
                if position == self._cut_after:
                    raise ProviderError("the stream was cut", candidate=self.candidate.name)
                await asyncio.sleep(self._stall_s)
                yield _chunk({"content": word}, text=word, has_content=True)
            usage = Usage(prompt_tokens=len(query.text.split()), completion_tokens=len(words))
            yield _chunk({}, usage=usage, finish_reason="stop")
            is_done = True
        finally:
            self.n_closed_early += not is_done

    async def close(self) -> None:
        return None


def _chunk(delta: dict[str, Any], **fields: Any) -> Chunk:
    data = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
    return Chunk(data=msgspec.json.encode(data), **fields)


class TableRouter:
    """Scores from a function of the query's text."""

    def __init__(self, arms: Sequence[str], score: Callable[[str], Sequence[float]]) -> None:
        self.arms = tuple(arms)
        self._score = score

    def scores(self, queries: Sequence[Query]) -> FloatArray:
        return np.array([self._score(query.text) for query in queries], dtype=np.float64)

    def explain(self, query: Query) -> Explanation:
        return Explanation(summary="from a table")


class Constant:
    """A cost or latency model that always says the same."""

    def __init__(self, arms: Sequence[str], values: Sequence[float]) -> None:
        self.arms = tuple(arms)
        self._values = np.array(values, dtype=np.float64)

    def costs(self, queries: Sequence[Query]) -> FloatArray:
        return np.tile(self._values, (len(queries), 1))

    latencies = costs
