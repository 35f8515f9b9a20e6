"""Cascades beside routers: recorded answers, scores that nobody was trained on, areas with their chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from suffice import routers
from suffice.cascades import Cascade, Played, Recorded, play
from suffice.evaluation.figures import Significance
from suffice.evaluation.fitting import costs_of, fitted, scores_of
from suffice.evaluation.significance import Drawn, Resampled, judged
from suffice.evaluation.truth import Truth
from suffice.metrics import aiq, hull_at, percentile_interval, resampled_means, upper_hull
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.crossfit import folds
from suffice.types import FloatArray


class Scored(NamedTuple):
    """What a router and a cost model say of queries, each (n, M)."""

    scores: FloatArray
    costs_usd: FloatArray


def crossed_scores(
    router: str, outcomes: Outcomes, *, n_folds: int = 3, embedder: Embedder | None = None, seed: int = 0
) -> Scored:
    """Of every query by a router that was trained on the others: what a cascade may be fitted to."""
    scores = np.full(outcomes.quality.shape, np.nan)
    costs = np.full(outcomes.quality.shape, np.nan)
    for inside, held in folds(outcomes.texts, n_folds, seed):
        train, rest = outcomes.select(rows=inside), outcomes.select(rows=held)
        trained, _ = fitted(router, train, embedder=embedder, seed=seed)
        scores[held], costs[held] = scored(trained, routers.fit_cost_model(train), rest)
    return Scored(scores, costs)


def scored(router: Any, cost_model: Any, outcomes: Outcomes) -> Scored:
    """Of queries that neither was trained on."""
    return Scored(
        scores_of(router, outcomes.queries, outcomes.arms),
        costs_of(cost_model, outcomes.queries, outcomes.arms),
    )


class Curve(NamedTuple):
    """Settings by queries, each (V, n)."""

    quality: FloatArray
    cost_usd: FloatArray

    @classmethod
    def of(cls, played: Sequence[Played]) -> Curve:
        return cls(np.stack([one.quality for one in played]), np.stack([one.cost_usd for one in played]))


class Areas:
    """AIQ of curves over one range, from the cheapest to the best single model, on the same resamples."""

    def __init__(self, recorded: Recorded, *, n_resamples: int = 1000, seed: int = 0) -> None:
        truth = Truth(models=recorded.arms, quality=recorded.quality, cost_usd=recorded.cost_usd)
        self.truth = truth
        self._resampled = Resampled(truth, n_resamples=n_resamples, seed=seed)
        span = truth.cost_range()
        assert span is not None
        self.span = span
        self._drawn: dict[int, tuple[Curve, Drawn]] = {}

    def aiq(self, curve: Curve) -> float:
        return aiq(curve.cost_usd.mean(axis=1), curve.quality.mean(axis=1), *self.span)

    def interval(self, curve: Curve) -> tuple[float, float]:
        """95 % of AIQ."""
        found = self._resampled.aiq_interval(self._draw(curve))
        assert found is not None
        return found

    def over(self, curve: Curve, other: Curve, name: str) -> Significance:
        """AIQ of one less that of the other, paired."""
        drawn = [self._resampled.aiq(self._draw(one)) for one in (curve, other)]
        return judged("aiq", name, self.aiq(curve) - self.aiq(other), drawn[0] - drawn[1])

    def over_at(self, curve: Curve, other: Curve, cost_usd: float, name: str) -> Significance:
        """Quality that one hull offers for a mean cost, less the other's."""
        gain, drawn = [], []
        for one in (curve, other):
            hull = upper_hull(one.cost_usd.mean(axis=1), one.quality.mean(axis=1))
            gain.append(float(hull_at(hull, cost_usd)))
            rows = zip(self._draw(one).costs, self._draw(one).qualities, strict=True)
            drawn.append(np.array([float(hull_at(upper_hull(c, q), cost_usd)) for c, q in rows]))
        return judged("quality", name, gain[0] - gain[1], drawn[0] - drawn[1])

    def _draw(self, curve: Curve) -> Drawn:
        if id(curve.quality) not in self._drawn:
            n, seed = self._resampled.n_resamples, self._resampled.seed
            qualities = resampled_means(curve.quality.T, n, seed=seed)
            costs = resampled_means(curve.cost_usd.T, n, seed=seed)
            self._drawn[id(curve.quality)] = curve, Drawn(qualities, costs)
        return self._drawn[id(curve.quality)][1]


class CascadeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One fitted cascade on recorded answers; costs hold everything that was asked and read."""

    cascade: str
    arms: tuple[str, ...]
    n_queries: int
    quality: float
    quality_ci: tuple[float, float]
    cost_usd_per_1k: float
    latency_s: float | None
    """Mean; None where a latency is not known."""
    n_calls: float
    """Mean arms asked per query; the calls behind a reading are in its cost."""
    answered_by: dict[str, float]
    """Share of queries."""
    zero_router_quality: float
    """What mixing single models by lot offers for the same cost."""
    best_single: str
    best_single_quality: float
    cost_share_of_best_single: float | None
    oracle_quality: float


def report(
    cascade: Cascade, recorded: Recorded, scores: FloatArray | None, costs_usd: FloatArray | None
) -> CascadeReport:
    """Play it, query by query as it would go live, and say what came of it."""
    table = recorded.select(arms=cascade.arms)
    found = play(cascade, table, scores, costs_usd)
    truth = Truth(models=table.arms, quality=table.quality, cost_usd=table.cost_usd)
    best, cost = truth.best_single, float(found.cost_usd.mean())
    latency = float(found.latency_s.mean())
    hull = upper_hull(truth.mean_cost, truth.mean_quality)
    shares = np.bincount(found.arm, minlength=table.n_arms) / max(table.n_queries, 1)
    means = resampled_means(found.quality[:, None], 1000)[:, 0]
    return CascadeReport(
        cascade=cascade.name,
        arms=table.arms,
        n_queries=table.n_queries,
        quality=float(found.quality.mean()),
        quality_ci=percentile_interval(means),
        cost_usd_per_1k=1000 * cost,
        latency_s=None if np.isnan(latency) else latency,
        n_calls=float(found.n_calls.mean()),
        answered_by={
            name: share for name, share in zip(table.arms, shares.tolist(), strict=True) if share > 0
        },
        zero_router_quality=float(hull_at(hull, cost)),
        best_single=truth.models[best],
        best_single_quality=float(truth.mean_quality[best]),
        cost_share_of_best_single=cost / float(truth.mean_cost[best]) if truth.mean_cost[best] else None,
        oracle_quality=float(table.quality.max(axis=1).mean()),
    )
