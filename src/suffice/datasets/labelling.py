"""Items to outcomes: every model asked, every answer scored, and pairs of answers judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Any, Final, TypeVar

import msgspec

from suffice.datasets.asking import Asker, Unanswered
from suffice.datasets.items import Item
from suffice.datasets.journal import Answered
from suffice.datasets.judging import JUDGE_FIELDS, pair_query, preference, rating, rating_query
from suffice.datasets.metrics import JUDGED
from suffice.protocols import Model
from suffice.types import Query

Step = Callable[[int, int, Decimal], None]
"""Told calls done, calls in all, and USD spent."""
SAMPLING_TEMPERATURE: Final = 0.8
"""Where several samples are wanted and nothing else is said."""
Reply = Answered | Unanswered
T = TypeVar("T")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How models are asked."""

    samples: int = 1
    max_tokens: int = 1024
    concurrency: int = 8
    fields: Mapping[str, Any] = {}
    """Request fields beside these; None takes one out."""

    def fields_of(self, sample: int) -> dict[str, Any]:
        """Greedy for a single sample; else each sample with a seed of its own."""
        fields: dict[str, Any] = {"max_tokens": self.max_tokens, "temperature": 0}
        if self.samples > 1:
            fields |= {"temperature": SAMPLING_TEMPERATURE, "seed": sample}
        return {name: value for name, value in {**fields, **self.fields}.items() if value is not None}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One call and what came of it."""

    item: Item
    model: str
    sample: int
    reply: Reply


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers to one item, judged."""

    item: Item
    model_a: str
    model_b: str
    pref_b: float | None
    """None: the judge did not say, or was not asked in both orders."""


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was asked."""

    readings: list[Reading]
    ratings: Mapping[tuple[str, str, int], float]
    """By query id, model and sample: of items that a judge scores."""
    verdicts: list[Verdict]


async def label(
    items: Sequence[Item],
    models: Mapping[str, Model],
    asker: Asker,
    wish: Wish = Wish(),  # noqa: B008  frozen
    *,
    judge: Model | None = None,
    on_step: Step = lambda done, total, spent: None,
) -> Labelled:
    """Ask all models all items, then the judge.

    Parameters
    ----------
    judge : compares every two models' first answers to an item, in both orders, and rates the answers to
        items whose metric is "judge"; None: neither
    """
    for model in models.values():
        asker.check(model, wish.fields_of(0))
    if judge is not None:
        asker.check(judge, JUDGE_FIELDS)
    calls = [(item, name, sample) for item in items for name in models for sample in range(wish.samples)]
    crowd = Crowd(asker, wish.concurrency, len(calls), on_step)

    async def one(item: Item, name: str, sample: int) -> Reading:
        reply = await asker.ask(models[name], item.asked(), wish.fields_of(sample), sample)
        return Reading(item=item, model=name, sample=sample, reply=reply)

    readings = await crowd.all(one(*call) for call in calls)
    if judge is None:
        return Labelled(readings=readings, ratings={}, verdicts=[])
    ratings = await _rate(readings, judge, asker, crowd)
    return Labelled(
        readings=readings, ratings=ratings, verdicts=await _compare(readings, judge, asker, crowd)
    )


class Crowd:
    """Runs calls, a limited number at once, and counts them."""

    def __init__(self, asker: Asker, concurrency: int, total: int, on_step: Step) -> None:
        self._asker, self._width, self._on_step = asker, concurrency, on_step
        self._done, self._total = 0, total

    def expect(self, n: int) -> None:
        self._total += n

    async def all(self, calls: Iterator[Coroutine[Any, Any, T]]) -> list[T]:
        """Results in order. Coroutines are made when their turn comes; one that fails ends all."""
        results: dict[int, T] = {}
        numbered = enumerate(calls)

        async def work() -> None:
            for place, call in numbered:
                results[place] = await call
                self._done += 1
                self._on_step(self._done, self._total, self._asker.budget.spent_usd)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._width):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [results[place] for place in range(len(results))]


async def _rate(
    readings: Sequence[Reading], judge: Model, asker: Asker, crowd: Crowd
) -> dict[tuple[str, str, int], float]:
    asked = [one for one in readings if one.item.metric == JUDGED and isinstance(one.reply, Answered)]
    crowd.expect(len(asked))

    async def one(reading: Reading) -> float | None:
        assert isinstance(reading.reply, Answered)
        query = rating_query(reading.item.query, reading.reply.content, reading.item.reference)
        said = await asker.ask(judge, query, JUDGE_FIELDS)
        return rating(said.content) if isinstance(said, Answered) else None

    found = await crowd.all(one(reading) for reading in asked)
    return {
        (reading.item.query_id, reading.model, reading.sample): value
        for reading, value in zip(asked, found, strict=True)
        if value is not None
    }


async def _compare(readings: Sequence[Reading], judge: Model, asker: Asker, crowd: Crowd) -> list[Verdict]:
    """Every two first answers to an item; equal texts are a tie without asking."""
    by_item: dict[str, list[tuple[Reading, str]]] = {}
    for reading in readings:
        if reading.sample == 0 and isinstance(reading.reply, Answered):
            by_item.setdefault(reading.item.query_id, []).append((reading, reading.reply.content))
    pairs = [pair for answers in by_item.values() for pair in combinations(answers, 2)]
    crowd.expect(len(pairs))

    async def one(first: tuple[Reading, str], second: tuple[Reading, str]) -> Verdict:
        (a, said_a), (b, said_b) = first, second
        pref_b: float | None = 0.5
        if said_a.strip() != said_b.strip():
            orders = [
                pair_query(a.item.query, *texts, _judged_reference(a.item))
                for texts in ((said_a, said_b), (said_b, said_a))
            ]
            said = [await _said(asker, judge, query) for query in orders]
            pref_b = preference(*said)
        return Verdict(item=a.item, model_a=a.model, model_b=b.model, pref_b=pref_b)

    return await crowd.all(one(*pair) for pair in pairs)


async def _said(asker: Asker, judge: Model, query: Query) -> str:
    reply = await asker.ask(judge, query, JUDGE_FIELDS)
    return reply.content if isinstance(reply, Answered) else ""


def _judged_reference(item: Item) -> str:
    """A judge is shown what is right, but for code, whose reference is tests."""
    return "" if item.metric == "code" else item.reference
