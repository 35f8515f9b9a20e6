"""What a cascade is fitted for: a budget, a value of a right answer, or AutoMix's quality per dollar."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from suffice.cascades.recorded import Recorded
from suffice.errors import ConfigError
from suffice.types import FloatArray

_LEAST_EXTRA: Final = 0.05
"""Of the last arm's extra cost: below it, a lucky query or two would decide the ratio."""


class Goal(msgspec.Struct, frozen=True):
    """Which of several configurations is the best; equal ones go to the cheaper.

    With neither number it is the incremental benefit per cost over the first arm alone, AutoMix's own aim.
    """

    budget_usd: float | None = None
    """Mean per query; the best quality within it. Where nothing keeps to it, the cheapest."""
    value_usd: float | None = None
    """What a fully right answer is worth; the highest value less cost."""

    def __post_init__(self) -> None:
        if self.budget_usd is not None and self.value_usd is not None:
            raise ConfigError("budget_usd and value_usd are two goals: give one")
        for name, number in (("budget_usd", self.budget_usd), ("value_usd", self.value_usd)):
            if number is not None and not (math.isfinite(number) and number >= 0):
                raise ConfigError(f"{name} is {number}: expected a finite number, at least 0")

    @property
    def is_given(self) -> bool:
        return self.budget_usd is not None or self.value_usd is not None

    def best(self, quality: FloatArray, cost_usd: FloatArray, table: Recorded) -> int:
        """The place of the best configuration.

        Parameters
        ----------
        quality, cost_usd : shape (n_configurations,), means over the queries of `table`
        table : whose first arm is the cheap one and whose last is the reference
        """
        if self.budget_usd is not None:
            worth = np.where(cost_usd <= self.budget_usd * (1 + 1e-9), quality, -np.inf)
        elif self.value_usd is not None:
            worth = self.value_usd * quality - cost_usd
        else:
            worth = _benefit(quality, cost_usd, table)
        return int(np.lexsort((cost_usd, -worth))[0])


def _benefit(quality: FloatArray, cost_usd: FloatArray, table: Recorded) -> FloatArray:
    """Quality per dollar beyond the first arm alone; that arm itself has 0, and worse ones less."""
    first_quality, first_cost = float(table.quality[:, 0].mean()), float(table.cost_usd[:, 0].mean())
    extra = cost_usd - first_cost
    least = _LEAST_EXTRA * abs(float(table.cost_usd[:, -1].mean()) - first_cost)
    is_first = (extra <= 0) & (quality >= first_quality)
    ratio = (quality - first_quality) / np.maximum(extra, max(least, np.finfo(float).tiny))
    return np.where(is_first, np.maximum(ratio, 0.0), np.where(extra <= 0, -np.inf, ratio))
