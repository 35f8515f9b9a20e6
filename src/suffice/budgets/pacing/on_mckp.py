"""PILOT's cost policy: an online multiple-choice knapsack per bin, leftovers spill over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from suffice.budgets.pacing.base import Pacer, Unit
from suffice.types import BoolArray, FloatArray

_QUANTILES: Final = (0.05, 0.95)


class OnMckp(Pacer):
    """Eligible is an arm whose gain over the cheapest is worth its extra cost; the best of those is taken.

    Worth it: gain / extra cost >= Psi(z) = (U e / L)^z x L / e, with z the share of the bin's money that is
    spent. What a bin leaves over goes to the next. The price is 0: the rule is all in `allowed`.

    Departs from the source in that an efficiency is that of the step up from the cheapest arm, which is
    always eligible, as the knapsack's theory has it, and in that U and L are quantiles of efficiencies seen,
    which `warm` gives or the stream itself shows.

    References
    ----------
    Panda et al. (2025), Adaptive LLM Routing under Budget Constraints (PILOT), section 4, arXiv 2508.21141.
    Chakrabarty, Zhou and Lukose (2008), Online Knapsack Problems, section 2: competitive ratio ln(U / L) + 2.
    """

    name: ClassVar[str] = "on_mckp"

    def __init__(
        self,
        *,
        budget_usd: float,
        horizon: float,
        unit: Unit = "queries",
        bins: int = 10,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        bins : equal parts of the horizon, from 1
        least, most : L and U, reward per USD; None: the 5 % and 95 % quantiles of what was seen
        """
        super().__init__(budget_usd=budget_usd, horizon=horizon, unit=unit)
        if bins < 1:
            raise ValueError(f"bins is {bins}; expected at least 1")
        if (least is None) != (most is None) or (least is not None and not 0 < least <= (most or 0)):
            raise ValueError(f"least={least}, most={most}: expected 0 < least <= most, or neither")
        self.bins, self.least, self.most = bins, least, most
        self._range = (1.0, 1.0) if least is None or most is None else (least, most)
        self._seen: list[float] = []
        self._bin, self._bin_usd, self._bin_spent = 0, self.budget_usd / bins, 0.0

    def _warm(self, rewards: FloatArray, costs: FloatArray) -> None:
        for one_rewards, one_costs in zip(rewards, costs, strict=True):
            self._note(one_rewards, one_costs)
        self._learn()

    def _price(self, rewards: FloatArray, costs: FloatArray) -> float:
        self._note(rewards, costs)
        if self.n_queries < 20 or self.n_queries % 20 == 0:
            self._learn()
        self._begin_bin()
        return 0.0

    def _allowed(self, rewards: FloatArray, costs: FloatArray, fits: BoolArray) -> BoolArray:
        gains = _efficiencies(rewards, costs, fits)
        z = min(1.0, self._bin_spent / self._bin_usd) if self._bin_usd > 0 else 1.0
        low, high = self._range
        eligible: BoolArray = fits & (gains >= (high * math.e / low) ** z * low / math.e)
        return eligible

    def _begin_bin(self) -> None:
        """Into the bin of this query, with an equal share of all that is left."""
        done = self.n_queries / self.horizon
        if self.unit == "seconds" and self._began is not None:
            done = (self._now - self._began) / self.horizon
        current = min(int(done * self.bins), self.bins - 1)
        if current > self._bin:
            self._bin, self._bin_spent = current, 0.0
            self._bin_usd = self.left_usd / (self.bins - current)

    def _note(self, rewards: FloatArray, costs: FloatArray) -> None:
        found = _efficiencies(rewards, costs, ~np.isnan(rewards) & ~np.isnan(costs))
        self._seen.extend(found[(found > 0) & np.isfinite(found)].tolist())
        del self._seen[:-5000]

    def _learn(self) -> None:
        if self.least is None and self._seen:
            low, high = np.quantile(self._seen, _QUANTILES)
            self._range = (float(low), float(high))

    def _paid(self, cost_usd: float, target_usd: float) -> None:
        self._bin_spent += cost_usd

    def _state(self) -> dict[str, Any]:
        return {
            "range": list(self._range),
            "seen": self._seen,
            "bin": [self._bin, self._bin_usd, self._bin_spent],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._range = (float(state["range"][0]), float(state["range"][1]))
        self._seen = [float(value) for value in state["seen"]]
        self._bin, self._bin_usd, self._bin_spent = state["bin"]


def _efficiencies(rewards: FloatArray, costs: FloatArray, fits: BoolArray) -> FloatArray:
    """(K,): reward per USD of the step up from the cheapest arm that fits; inf for that arm itself."""
    found = np.full(len(costs), -np.inf)
    if not fits.any():
        return found
    base = int(np.argmin(np.where(fits, costs, np.inf)))
    extra = costs - costs[base]
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = (rewards - rewards[base]) / extra
    found[fits] = np.where(
        extra[fits] > 0, steps[fits], np.where(rewards[fits] > rewards[base], np.inf, -np.inf)
    )
    found[base] = np.inf
    return found
