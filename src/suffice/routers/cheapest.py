"""The cheapest arm, whatever is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from suffice.outcomes import Outcomes
from suffice.routers.base import arm_means
from suffice.routers.constant import ConstantRouter, falling_scores
from suffice.types import Candidate, FloatArray, Price

_INPUT_SHARE: Final = 0.75
"""Three input tokens for each output token, the usual blend of list prices."""
_TOKENS_PER_CORE_S: Final = 15.0
"""Of a small local model, to compare a price by the hour with prices by the token."""


class Cheapest(ConstantRouter):
    """Scores fall with the arm's mean cost in training, or with its price where no cost is known."""

    name = "cheapest"

    def _of_outcomes(self, outcomes: Outcomes) -> tuple[FloatArray, str]:
        means = arm_means(np.asarray(outcomes.cost_usd, np.float64))
        if np.isnan(means).all():
            return np.zeros(len(means)), "no cost is known: all arms alike"
        best = int(np.nanargmin(means))
        return falling_scores(means), f"{outcomes.arms[best]} has the lowest mean cost, {means[best]:.3g} USD"

    def _of_candidates(self, candidates: Sequence[Candidate]) -> tuple[FloatArray, str]:
        prices = np.array([blended_usd_per_mtok(candidate.price) for candidate in candidates])
        if np.isnan(prices).all():
            return np.zeros(len(prices)), "no price is known: all arms alike"
        best = int(np.nanargmin(prices))
        reason = (
            f"{candidates[best].name} has the lowest price, about {prices[best]:.3g} USD per million tokens"
        )
        return falling_scores(prices), reason


def blended_usd_per_mtok(price: Price) -> float:
    """USD per million tokens, input and output blended 3 to 1; NaN where unknown."""
    if price.usd_per_cpu_hour is not None:
        return float(price.usd_per_cpu_hour) / 3600 / _TOKENS_PER_CORE_S * 1e6
    if price.input_usd_per_mtok is None or price.output_usd_per_mtok is None:
        return float("nan")
    into, out = float(price.input_usd_per_mtok), float(price.output_usd_per_mtok)
    return _INPUT_SHARE * into + (1 - _INPUT_SHARE) * out
