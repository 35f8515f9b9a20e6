"""Differences with their chance: resampled queries, the same ones on both sides.

A router and what it is compared with answer the same queries, so the interval of their difference is
narrower than that of either. What is resampled are the test queries; training is not repeated.

References
----------
Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapters 13 and 16.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from suffice.evaluation.figures import Measure, Significance, Verdict
from suffice.evaluation.sweep import Sweep
from suffice.evaluation.truth import Truth
from suffice.metrics import (
    aiq,
    apgr,
    hull_at,
    percentile_interval,
    resampled_apgr,
    resampled_means,
    two_sided_p,
    upper_hull,
)
from suffice.types import FloatArray, IntArray


class Drawn(NamedTuple):
    """A curve on every resample."""

    qualities: FloatArray
    """(n_resamples, n_points)"""
    costs: FloatArray
    """(n_resamples, n_points)"""


class Resampled:
    """The queries drawn again and again; every statistic sees the same draws."""

    def __init__(self, truth: Truth, *, n_resamples: int, seed: int) -> None:
        """
        Parameters
        ----------
        truth : n queries, K models
        n_resamples : at least 1
        seed : of the draws
        """
        self.truth, self.n_resamples, self.seed = truth, n_resamples, seed

    def draw(self, curve: Sweep) -> Drawn | None:
        """The curve's distinct points on every resample; None without costs."""
        if self.truth.cost_usd is None:
            return None
        distinct = np.unique(curve.chosen, axis=0)
        qualities = self._means(self.truth.quality_of(distinct).T)
        return Drawn(qualities, self._means(self.truth.cost_of(distinct).T))

    def aiq(self, drawn: Drawn) -> FloatArray:
        """(n_resamples,): AIQ over the range of each resample.

        Which models bound the range stays as it is on all queries.
        """
        rows = zip(drawn.costs, drawn.qualities, self._ranges, strict=True)
        return np.array([aiq(cost, quality, *ends) for cost, quality, ends in rows])

    def aiq_interval(self, drawn: Drawn | None) -> tuple[float, float] | None:
        """95 % of AIQ; None without costs."""
        return None if drawn is None else percentile_interval(self.aiq(drawn))

    def over_zero_router(self, curve: Sweep, drawn: Drawn) -> Significance:
        """AIQ less that of the zero router."""
        truth, span = self.truth, self.truth.cost_range()
        assert span is not None
        gain = aiq(curve.cost_usd, curve.quality, *span) - aiq(truth.mean_cost, truth.mean_quality, *span)
        return judged("aiq", "zero router", gain, self.aiq(drawn) - self._zero_aiq)

    def over_mixture(self, curve: Sweep, drawn: Drawn, models: IntArray, name: str) -> Significance:
        """AIQ less that of these models alone, mixed by lot."""
        truth, span = self.truth, self.truth.cost_range()
        assert span is not None
        mixed = Drawn(self._singles.qualities[:, models], self._singles.costs[:, models])
        gain = aiq(curve.cost_usd, curve.quality, *span)
        gain -= aiq(truth.mean_cost[models], truth.mean_quality[models], *span)
        return judged("aiq", name, gain, self.aiq(drawn) - self.aiq(mixed))

    def over_best_single(self, curve: Sweep) -> Significance:
        """Quality where cost is no matter, less that of the best single model."""
        best = self.truth.best_single
        gain = self.truth.quality_of(curve.chosen[-1]) - self.truth.quality[:, best]
        return self._difference(gain, self.truth.models[best])

    def between(self, curve: Sweep, other: Sweep, name: str) -> Significance:
        """Quality where cost is no matter, less that of another router."""
        qualities = [self.truth.quality_of(one.chosen[-1]) for one in (curve, other)]
        return self._difference(qualities[0] - qualities[1], name)

    def at_cost_of(self, model: str, curve: Sweep, drawn: Drawn) -> Significance:
        """Quality that the curve's hull offers for a model's mean cost, less that model's."""
        k = self.truth.models.index(model)
        qualities, costs = self._singles.qualities[:, k], self._singles.costs[:, k]
        rows = zip(drawn.costs, drawn.qualities, costs, qualities, strict=True)
        gains = [float(hull_at(upper_hull(c, q), paid)) - reached for c, q, paid, reached in rows]
        hull = upper_hull(curve.cost_usd, curve.quality)
        gain = float(hull_at(hull, self.truth.mean_cost[k])) - float(self.truth.mean_quality[k])
        return judged("quality", model, gain, np.array(gains))

    def over_chance(self, scores: FloatArray, pair: tuple[str, str]) -> Significance | None:
        """APGR less one half; None where strong is not better here, or a score is unknown."""
        strong, weak = (self.truth.models.index(model) for model in pair)
        qualities = self.truth.quality[:, strong], self.truth.quality[:, weak]
        difference = scores[:, strong] - scores[:, weak]
        if not qualities[0].mean() > qualities[1].mean() or np.isnan(difference).any():
            return None
        drawn = resampled_apgr(difference, *qualities, self.n_resamples, seed=self.seed)
        drawn = drawn[~np.isnan(drawn)]
        return judged("apgr", "chance", apgr(difference, *qualities) - 0.5, drawn - 0.5)

    def primary(self, curve: Sweep, drawn: Drawn | None) -> Significance:
        """Against the zero router; without costs against the best single model."""
        return self.over_best_single(curve) if drawn is None else self.over_zero_router(curve, drawn)

    def _difference(self, gain: FloatArray, against: str) -> Significance:
        """Of one number per query."""
        drawn = self._means(gain[:, None])[:, 0]
        return judged("quality", against, float(gain.mean()), drawn)

    def _means(self, columns: FloatArray) -> FloatArray:
        return resampled_means(columns, self.n_resamples, seed=self.seed)

    @cached_property
    def _singles(self) -> Drawn:
        assert self.truth.cost_usd is not None
        return Drawn(self._means(self.truth.quality), self._means(self.truth.cost_usd))

    @cached_property
    def _ranges(self) -> FloatArray:
        """(n_resamples, 2): low and high cost."""
        ends = self._singles.costs[:, [self.truth.cheapest, self.truth.best_single]]
        return np.sort(ends, axis=1)

    @cached_property
    def _zero_aiq(self) -> FloatArray:
        return self.aiq(self._singles)


def judged(measure: Measure, against: str, gain: float, drawn: FloatArray) -> Significance:
    """A difference and what its resamples say of it."""
    low, high = percentile_interval(drawn)
    verdict: Verdict = "better" if low > 0 else "worse" if high < 0 else "within chance"
    return Significance(
        measure=measure,
        against=against,
        gain=gain,
        ci=(low, high),
        lower_95=percentile_interval(drawn, 0.9)[0],
        p_value=two_sided_p(drawn),
        verdict=verdict,
    )
