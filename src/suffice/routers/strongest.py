"""The strongest arm, whatever is asked: the safe choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.outcomes import Outcomes
from suffice.routers.base import arm_means
from suffice.routers.constant import ConstantRouter, falling_scores
from suffice.types import Candidate, FloatArray


class Strongest(ConstantRouter):
    """Scores by mean quality in training, else by the candidates' strength, else by output price."""

    name = "strongest"

    def _of_outcomes(self, outcomes: Outcomes) -> tuple[FloatArray, str]:
        means = arm_means(np.asarray(outcomes.quality, np.float64))
        best = int(np.nanargmax(means))
        return means, f"{outcomes.arms[best]} has the highest mean quality, {means[best]:.3f}"

    def _of_candidates(self, candidates: Sequence[Candidate]) -> tuple[FloatArray, str]:
        """Strengths where any is known (an unknown one is NaN); else dear is taken for strong."""
        strengths = np.array([np.nan if c.strength is None else c.strength for c in candidates])
        if not np.isnan(strengths).all():
            best = int(np.nanargmax(strengths))
            return strengths, f"{candidates[best].name} has the highest stated strength, {strengths[best]:g}"
        prices = np.array([_output_usd_per_mtok(candidate) for candidate in candidates])
        if np.isnan(prices).all():
            return np.zeros(len(prices)), "neither quality, strength nor price is known: all arms alike"
        best = int(np.nanargmax(prices))
        known = np.where(np.isnan(prices), np.nanmin(prices) - 1, prices)
        reason = (
            f"{candidates[best].name} has the highest output price, {prices[best]:g} USD per million tokens"
        )
        return falling_scores(-known), reason


def _output_usd_per_mtok(candidate: Candidate) -> float:
    price = candidate.price.output_usd_per_mtok
    return float("nan") if price is None else float(price)
