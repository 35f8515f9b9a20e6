"""What a replay found: the figures over all seeds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from suffice.evaluation.replay.play import Played
from suffice.metrics.student_t import half_width
from suffice.types import FloatArray

_POINTS: Final = 50
_LEAST_ORDERS: Final = 3
"""Without which an interval is not given: of two it is wider than what there is to know."""


class Point(msgspec.Struct, frozen=True):
    """Of the curves, after so many queries; means over the seeds."""

    queries: int
    regret: float
    """Cumulative: bound x queries - quality so far."""
    quality: float
    """Per query, of the queries since the last point."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A policy on a stream under a budget. Costs in USD per query unless a name says otherwise."""

    policy: str
    pacing: str
    scenario: str
    quality_mean: float
    quality_ci: tuple[float, float] | None
    """95 %, of the mean over seeds: t interval, seeds being independent orders of the stream. None: fewer
    than three orders say nothing of how they differ."""
    cost_per_query: float
    budget: float
    overspend: float
    """max(0, spent - budget x queries) in USD, the largest of all seeds."""
    share_of_bound: float
    """quality_mean / bound."""
    bound: float
    """The hindsight Lagrangian on true rewards and costs."""
    regret_curve: tuple[Point, ...]
    n_queries: int
    n_seeds: int
    served: float
    """Share of queries that got an answer."""
    cut: float
    """Share of queries whose answer would have taken what later ones need: cut there, quality 0."""
    arm_share: dict[str, float]
    feedback: float
    """Share of queries whose reward was told."""
    qualities: tuple[float, ...]
    """By seed."""
    n_shared: int = 0
    """Queries of the stream that the warm data hold too: known beforehand."""


def report(
    played: Sequence[Played],
    bounds: Sequence[float],
    *,
    policy: str,
    pacing: str,
    scenario: str,
    budget_usd: float,
    arms: Sequence[str],
    n_shared: int = 0,
) -> Replay:
    """Of one or more seeds, all of the same length."""
    qualities = np.array([one.rewards.mean() for one in played])
    bound = float(np.mean(bounds))
    n = len(played[0].rewards)
    chosen = np.concatenate([one.arms for one in played])
    return Replay(
        policy=policy,
        pacing=pacing,
        scenario=scenario,
        quality_mean=float(qualities.mean()),
        quality_ci=_interval(qualities),
        cost_per_query=float(np.mean([one.spent_usd for one in played])) / n,
        budget=budget_usd,
        overspend=max(0.0, *(one.spent_usd - budget_usd * n for one in played)),
        share_of_bound=float(qualities.mean() / bound) if bound > 0 else 1.0,
        bound=bound,
        regret_curve=_curve(np.stack([one.rewards for one in played]), bound),
        n_queries=n,
        n_seeds=len(played),
        served=float((chosen >= 0).mean()),
        cut=float(np.mean([one.n_cut for one in played])) / n,
        arm_share={arm: float((chosen == k).mean()) for k, arm in enumerate(arms)},
        feedback=float(np.mean([one.n_told for one in played])) / n,
        qualities=tuple(qualities.tolist()),
        n_shared=n_shared,
    )


def _interval(values: FloatArray) -> tuple[float, float] | None:
    """95 % of the mean."""
    n, mean = len(values), float(values.mean())
    if n < _LEAST_ORDERS:
        return None
    half = half_width(0.95, n - 1) * float(values.std(ddof=1)) / np.sqrt(n)
    return max(0.0, mean - float(half)), min(1.0, mean + float(half))


def _curve(rewards: FloatArray, bound: float) -> tuple[Point, ...]:
    """From rewards (seeds, n)."""
    mean = rewards.mean(axis=0)
    total = mean.cumsum()
    ends = np.unique(np.linspace(0, len(mean), min(_POINTS, len(mean)) + 1).round().astype(int))
    return tuple(
        Point(
            queries=int(end),
            regret=float(bound * end - total[end - 1]),
            quality=float(mean[begin:end].mean()),
        )
        for begin, end in pairwise(ends.tolist())
    )
