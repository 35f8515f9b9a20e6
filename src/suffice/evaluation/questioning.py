"""Questions with known answers put to a model, in every way that the wanted signals need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from suffice.datasets import metrics
from suffice.datasets.asked_model import AskedModel
from suffice.datasets.asking import Asker
from suffice.datasets.items import Item
from suffice.errors import ConfigError, DataError
from suffice.plans.probes import (
    Evidence,
    ForcedReasoning,
    Greedy,
    Known,
    LabelProbability,
    OtherModels,
    Paraphrases,
    Probe,
    PTrue,
    SameMeaning,
    Samples,
    TopK,
    Verbalised,
    gather,
)
from suffice.plans.probes.answers import labels_of
from suffice.plans.probes.signals import source
from suffice.plans.probes.sources import JUDGED
from suffice.protocols import Model

Step = Callable[[int, int, Decimal], None]
"""Told questions done, questions in all, and USD spent."""
MEANINGS: Final = ("answer", "embedding", "judge")


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """How much is asked."""

    n_samples: int = 5
    temperature: float = 0.8
    n_paraphrases: int = 5
    n_votes: int = 4
    max_tokens: int = 512
    concurrency: int = 8
    seed: int = 0
    fields: Mapping[str, Any] = {}
    """Of every request, over a probe's own; None takes one out."""


class Questioned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    known: list[Known]
    failed: Mapping[str, str]
    """Query id -> why there is no answer or no score."""


async def question(
    items: Sequence[Item],
    model: Model,
    signals: Sequence[str],
    asker: Asker,
    wish: Asking,
    *,
    others: Sequence[Model] = (),
    judge: Model | None = None,
    has_judge: bool = False,
    on_step: Step = lambda done, total, spent: None,
) -> Questioned:
    """Ask, and grade the greedy answers. What the asker's journal has is not asked again.

    Parameters
    ----------
    signals : decide which probes ask
    others : for the signal `ensemble_vote`
    judge : says which samples mean the same, where `has_judge`; None: the model itself

    Raises
    ------
    ConfigError
        If calls cannot be bounded within the budget, or a metric needs a judge of its own.
    """
    made = {name: _metric(name) for name in sorted({item.metric for item in items})}
    for called in (model, *others, *([judge] if judge else [])):
        asker.check(called, {"max_tokens": wish.max_tokens})
    gate = asyncio.Semaphore(wish.concurrency)
    asked = AskedModel(model, asker, gate)
    probes = probes_for(
        signals,
        wish,
        others=[AskedModel(one, asker, gate) for one in others],
        judge=AskedModel(judge, asker, gate) if judge else None,
        has_judge=has_judge,
    )
    found: dict[int, Known | str] = {}

    async def one(place: int, item: Item) -> None:
        found[place] = await _one(item, asked, probes, wish, made[item.metric])
        on_step(len(found), len(items), asker.budget.spent_usd)

    await _side_by_side([(place, item) for place, item in enumerate(items)], one, wish.concurrency)
    return Questioned(
        known=[known for _, known in sorted(found.items()) if isinstance(known, Known)],
        failed={items[place].query_id: why for place, why in sorted(found.items()) if isinstance(why, str)},
    )


def probes_for(
    signals: Sequence[str],
    wish: Asking,
    *,
    others: Sequence[Model] = (),
    judge: Model | None = None,
    has_judge: bool = False,
) -> list[Probe]:
    """The probes that the signals read, each once; the answer itself first."""
    made: dict[str, Probe] = {
        "samples": Samples(wish.n_samples, wish.temperature, wish.max_tokens, wish.seed),
        "paraphrases": Paraphrases(wish.n_paraphrases, wish.max_tokens, seed=wish.seed),
        "verbalised": Verbalised(),
        "top_k": TopK(),
        "p_true": PTrue(wish.n_votes, seed=wish.seed),
        "forced_reasoning": ForcedReasoning(),
        "label_probability": LabelProbability(),
    }
    if others:
        made["other_models"] = OtherModels(others, wish.max_tokens)
    wanted = {probe for name in signals for probe in (*source(name).probes, *source(name).any_of)}
    chosen = [probe for name, probe in made.items() if name in wanted]
    if has_judge and "samples" in wanted:
        chosen.append(SameMeaning(judge))
    return [Greedy(wish.max_tokens), *chosen]


async def _one(
    item: Item, model: Model, probes: Sequence[Probe], wish: Asking, metric: metrics.Metric
) -> Known | str:
    labels = labels_of(item.metric, item.reference)
    start = Evidence(query_id=item.query_id, question=item.query, kind=item.metric, labels=labels)
    mine = [probe for probe in probes if labels or not isinstance(probe, LabelProbability)]
    answered = await gather(model, item.asked(), mine[:1], start, fields=wish.fields)
    answer = answered.first(JUDGED)
    if answer is None:
        return answered.missing[JUDGED]
    evidence = await gather(model, item.asked(), mine[1:], answered, fields=wish.fields)
    try:
        quality = float(await asyncio.to_thread(metric.score, answer.text, item.reference))
    except ValueError as error:
        raise DataError(f"query {item.query_id!r}, metric {item.metric!r}: {error}") from error
    return Known(evidence, quality, item.query_id)


async def _side_by_side(
    calls: Sequence[tuple[int, Item]], one: Callable[[int, Item], Any], width: int
) -> None:
    """A limited number at once; one that fails ends all."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await one(*call)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(work())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _metric(name: str) -> metrics.Metric:
    if name == metrics.JUDGED:
        raise ConfigError(
            'the metric "judge" grades by another model\'s word: give questions that can be checked'
        )
    return metrics.create(name)
