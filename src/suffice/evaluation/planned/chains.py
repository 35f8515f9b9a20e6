"""Cascades as plans of a comparison: fitted to the training queries in every setting, played on the test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from suffice import cascades
from suffice.cascades import Played, play
from suffice.cascades.frugalgpt import AnswerScorer, FrugalGPT, Wish
from suffice.cascades.routing import CascadeRouting
from suffice.evaluation.cascading import Scored
from suffice.evaluation.planned.data import PlanData
from suffice.evaluation.planned.ways import CannotRun, Way, way_of
from suffice.evaluation.sweep import VALUES_USD
from suffice.metrics import upper_hull
from suffice.protocols import Embedder

SCORER: Final = "scorer"
N_BUDGETS: Final = 16
_MOST_ARMS: Final = 5
_ORDER: Final = ("verification", "self_consistency", SCORER)
"""Which signal is taken where the user names none."""
_PRICES: Final = [np.inf, *(1 / VALUES_USD[1:-1]).tolist(), 0.0]


@dataclass(frozen=True, eq=False)
class Halves:
    """Complete training and test queries, and what a router says of each that had not seen it."""

    train: PlanData
    test: PlanData
    train_scored: Scored
    test_scored: Scored
    value_usd: float
    router: str
    embedder: Embedder
    seed: int = 0
    named: tuple[str, ...] = ()
    """Signals that the user named."""

    @property
    def has_texts(self) -> bool:
        return self.train.recorded.responses is not None and self.test.recorded.responses is not None

    @property
    def chain(self) -> tuple[str, ...]:
        """Models on the hull of the training queries by cost: what a chain climbs.

        Of more than five, those go first without which the area under the hull is the least smaller.
        """
        table = self.train.recorded
        cost, quality = table.cost_usd.mean(axis=0), table.quality.mean(axis=0)
        hull = upper_hull(cost, quality)
        on_hull = [int(np.flatnonzero((cost == c) & (quality == q))[0]) for c, q in zip(*hull, strict=True)]
        while len(on_hull) > _MOST_ARMS:
            c, q = cost[on_hull], quality[on_hull]
            lost = (c[1:-1] - c[:-2]) * (q[2:] - q[:-2]) - (q[1:-1] - q[:-2]) * (c[2:] - c[:-2])
            del on_hull[1 + int(np.abs(lost).argmin())]
        return tuple(table.arms[arm] for arm in on_hull)

    @property
    def budgets(self) -> list[float]:
        """From the cheapest to the best single model's mean cost on the training queries."""
        table = self.train.recorded
        cost, quality = table.cost_usd.mean(axis=0), table.quality.mean(axis=0)
        low, high = cost.min() * 1.02, max(cost[quality.argmax()], cost.min() * 1.02)
        found: list[float] = np.geomspace(low, high, N_BUDGETS).tolist()
        return found

    @property
    def signal(self) -> str:
        """The one that cascades of one signal go by.

        Raises
        ------
        CannotRun
            If there is none.
        """
        known = self.train.recorded.readings
        found = next((name for name in (*self.named, *_ORDER) if name in known), None)
        if found is None:
            raise CannotRun(
                "it looks at answers: the file needs a column `response`, or one with a confidence that "
                "--signal names, or rows whose strategy is `verify` or `sample`"
            )
        return found


def with_scorer(halves: Halves) -> Halves:
    """A learnt scorer of answers as one more reading, where texts are there.

    Readings of training answers come from models that saw no answer to their query.
    """
    if not halves.has_texts:
        return halves
    train, test = halves.train.recorded, halves.test.recorded
    assert train.responses is not None and test.responses is not None
    scorer = AnswerScorer(halves.embedder, seed=halves.seed)
    scorer.fit([query.text for query in train.queries], train.arms, train.responses, train.quality)
    read = scorer.scores([query.text for query in test.queries], test.responses)
    return replace(
        halves,
        train=halves.train.with_reading(SCORER, scorer.held_out_),
        test=halves.test.with_reading(SCORER, read),
    )


def cascade_routing(name: str, halves: Halves) -> Way:
    """Learnt once, read at every value; signals that cost calls only where the user names them."""
    table = halves.train.recorded
    free = [one for one in table.readings if not np.nansum(table.reading_cost_usd[one])]
    signals = list(dict.fromkeys([*halves.named, *free])) or [halves.signal]
    fitted = CascadeRouting(signals=signals, seed=halves.seed)
    fitted.fit(table, *halves.train_scored, value_usd=1.0)
    price = 1 / halves.value_usd if halves.value_usd else np.inf
    found = fitted.sweep(halves.test.recorded, [*_PRICES, price], *halves.test_scored)
    return way_of(fitted, found[:-1], found[-1], halves.test, signals)


def frugalgpt(name: str, halves: Halves) -> Way:
    """The best chain for every budget, and for the recommended value."""
    wishes = [*(Wish(budget_usd=one) for one in halves.budgets), Wish(value_usd=halves.value_usd)]
    found = FrugalGPT(signal=halves.signal, seed=halves.seed).frontier(halves.train.recorded, wishes)
    kept = [one for one in found if one is not None]
    played = [one.sweep(halves.test.recorded) for one in kept]
    return way_of(kept[-1], played[:-1], played[-1], halves.test, [halves.signal])


def chain(name: str, halves: Halves) -> Way:
    """`confidence` and AutoMix along the hull, for every budget and for the recommended value."""
    signal, arms = halves.signal, halves.chain
    if len(arms) < 2:
        raise CannotRun(f"{arms[0]} is the cheapest and the best model: there is nobody to ask after it")

    def fitted(**goal: float) -> tuple[Any, Played]:
        cascade = cascades.create(name, signal=signal, arms=arms).fit(halves.train.recorded, **goal)
        return cascade, play(cascade, halves.test.recorded)

    settings = [fitted(budget_usd=budget)[1] for budget in halves.budgets]
    cascade, at_value = fitted(value_usd=halves.value_usd)
    return way_of(cascade, settings, at_value, halves.test.of_arms(arms), [signal])
