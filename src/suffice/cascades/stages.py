"""Rules of chains as step functions of one reading each, and many of them tried on recorded answers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.types import BoolArray, FloatArray


class Stage(msgspec.Struct, frozen=True):
    """What to do after one arm's answer: a step function of the reading.

    A reading that is missing says nothing for the answer: ask on.
    """

    edges: tuple[float, ...]
    """Ascending; a reading on an edge belongs to the bin above."""
    asks: tuple[bool, ...]
    """By bin, one more than edges: whether the next arm is asked."""

    def __post_init__(self) -> None:
        if len(self.asks) != len(self.edges) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"{len(self.edges)} ascending edges make as many bins and one: got {self}")

    @property
    def is_read(self) -> bool:
        """Whether the reading makes a difference; if not, it is never taken."""
        return len(set(self.asks)) > 1

    @property
    def is_passed_over(self) -> bool:
        """Every answer would be followed by the next arm's: this one is not asked at all."""
        return all(self.asks)

    def asks_on(self, readings: FloatArray) -> BoolArray:
        """(n,) of readings (n,), NaN where missing."""
        found: BoolArray = np.array(self.asks)[np.searchsorted(self.edges, readings, side="right")]
        return found | np.isnan(readings) if self.is_read else found

    def asks_after(self, reading: float | None) -> bool:
        return bool(self.asks_on(np.array([math.nan if reading is None else reading]))[0])

    def is_hopeless(self, reading: float) -> bool:
        """Whether an accepted reading lies below one that would have asked on."""
        return any(self.asks[int(np.searchsorted(self.edges, reading, side="right")) :])


Stages = tuple[Stage, ...]
"""By arm but the last."""
NEVER: Final = Stage((), (False,))
"""Accept whatever it says."""
PASS_OVER: Final = Stage((), (True,))
"""Do not even ask."""


def next_asked(stages: Stages, arm: int) -> int:
    """The first arm after that one which is not passed over; the last is always asked."""
    later = range(arm + 1, len(stages))
    return next((one for one in later if not stages[one].is_passed_over), len(stages))


def outcome(table: Recorded, signal: str, stages: Stages) -> tuple[FloatArray, FloatArray]:
    """Quality and cost (n,) of every query under these stages: `play`, all queries at once."""
    alive = np.ones(table.n_queries, dtype=bool)
    quality, cost = table.quality[:, -1].copy(), np.zeros(table.n_queries)
    for arm, stage in enumerate(stages):
        if stage.is_passed_over:
            continue
        cost[alive] += table.cost_usd[alive, arm]
        asks = stage.asks_on(np.zeros(table.n_queries))
        if stage.is_read:
            cost[alive] += table.reading_cost_usd[signal][alive, arm]
            asks = stage.asks_on(table.signal(signal)[:, arm])
        stops = alive & ~asks
        quality[stops] = table.quality[stops, arm]
        alive &= asks
    cost[alive] += table.cost_usd[alive, -1]
    return quality, cost


def best_stages(table: Recorded, signal: str, configurations: Sequence[Stages], goal: Goal) -> Stages:
    """The configuration that the goal wants, judged on the rows of `table`."""
    means = [
        (float(quality.mean()), float(cost.mean()))
        for quality, cost in (outcome(table, signal, one) for one in configurations)
    ]
    quality, cost = np.array(means).T
    return configurations[goal.best(quality, cost, table)]


def products(table: Recorded, per_stage: Sequence[Sequence[Stage]]) -> list[Stages]:
    """Every choice of one stage per arm but the last."""
    assert len(per_stage) == table.n_arms - 1
    return [tuple(one) for one in itertools.product(*per_stage)]


def cuts(readings: FloatArray, most: int) -> list[float]:
    """Up to `most` thresholds between the readings that occur; of more, those nearest to even shares.

    Examples
    --------
    >>> cuts(np.array([0.25, 0.75, 0.75, np.nan]), 8)
    [0.5]
    """
    known = np.sort(readings[~np.isnan(readings)])
    distinct = np.unique(known)
    between = (distinct[1:] + distinct[:-1]) / 2
    if len(between) > most:
        below = np.searchsorted(known, between) / len(known)
        wanted = np.arange(1, most + 1) / (most + 1)
        between = between[np.unique(np.argmin(np.abs(below[:, None] - wanted), axis=0))]
    return [float(cut) for cut in between]
