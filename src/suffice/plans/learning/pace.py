"""A budget for each day (UTC) as a price: reward given up per USD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from suffice.budgets import pacing
from suffice.errors import BudgetExceeded
from suffice.types import BoolArray, FloatArray

DAY_S: Final = 86_400.0
_AT_MOST: Final = 2.0
"""Times its predicted cost, an answer is taken to cost at most."""
_BELIEVED: Final = 5.0
"""Answers that the cost model's word is worth."""
_REMEMBERED: Final = 500.0
"""Answers after which the older half counts half."""


class Bills:
    """What answers cost, as a multiple of what was predicted, by arm."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        """
        Parameters
        ----------
        sums : of an arm: paid and predicted USD, and the number of answers
        """
        self.sums = dict(sums or {})

    def paid(self, arm: str, cost_usd: float, predicted_usd: float) -> None:
        """An answer of which both are known."""
        if not predicted_usd > 0:
            return
        sums = self.sums.setdefault(arm, [0.0, 0.0, 0.0])
        for place, value in enumerate((cost_usd, predicted_usd, 1.0)):
            sums[place] += value
        if sums[2] > _REMEMBERED:
            sums[:] = [value / 2 for value in sums]

    def factors(self, arms: Sequence[str]) -> FloatArray:
        """(P,): by what predictions are to be multiplied; 1 before there are answers."""
        return np.array([self._factor(*self.sums.get(arm, (0.0, 0.0, 0.0))) for arm in arms])

    @staticmethod
    def _factor(paid: float, predicted: float, n: float) -> float:
        return (_BELIEVED + n * paid / predicted) / (_BELIEVED + n) if n else 1.0


class Pace:
    """A pacer that begins anew at midnight; a clock that goes back stays in its day."""

    def __init__(self, name: str, budget_usd_per_day: float) -> None:
        """
        Raises
        ------
        ConfigError
            If there is no such pacer, or the budget is not above 0.
        """
        self.name, self.budget_usd = name, budget_usd_per_day
        self.day = -1
        self.pacer = self._new(0.0)

    def terms(self, worth: FloatArray, costs: FloatArray, now: float) -> tuple[float, BoolArray]:
        """The price, and (K,) the arms that may be asked; costs that are unknown (NaN) are not paid.

        Raises
        ------
        BudgetExceeded
            If nothing fits any more.
        """
        self._turn(now)
        known = np.where(np.isnan(costs), np.nan, worth)
        price = self.pacer.price(known, costs, now)
        allowed = self.pacer.allowed(known, costs, costs * _AT_MOST)
        if not allowed.any():
            wait_s = (self.day + 1) * DAY_S - now
            raise BudgetExceeded(
                f"of the policy's {self.budget_usd:g} USD for today {self.pacer.left_usd:.3g} are left, and "
                f"{_cheapest(costs)}",
                details={"name": "policy", "left_usd": f"{self.pacer.left_usd:.6f}"},
                retry_after_s=max(wait_s, 1.0),
            )
        return price, allowed

    def heard(self, worth: FloatArray, costs: FloatArray, at: float) -> None:
        """A decision that another process made, before its `paid`."""
        self._turn(at)
        if int(at // DAY_S) == self.day:
            self.pacer.price(np.where(np.isnan(costs), np.nan, worth), costs, at)

    def paid(self, cost_usd: float, at: float) -> None:
        """What an answer cost that was decided at that time; of earlier days is nothing booked."""
        self._turn(at)
        if int(at // DAY_S) == self.day:
            self.pacer.paid(cost_usd)

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {"day": self.day, "horizon": self.pacer.horizon, "pacer": self.pacer.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The reverse; of another pacer nothing but the day's spend is taken."""
        self.day = int(state["day"])
        self.pacer = self._new(float(state["horizon"]))
        if state["pacer"].get("name") == self.name:
            self.pacer.restore(state["pacer"])
        else:
            self.pacer.spent_usd = float(state["pacer"]["spent_usd"])

    def _turn(self, now: float) -> None:
        day = int(now // DAY_S)
        if day > self.day:
            self.day, self.pacer = day, self._new((day + 1) * DAY_S - now)

    def _new(self, horizon_s: float) -> pacing.Pacer:
        horizon = horizon_s if horizon_s > 0 else DAY_S
        return pacing.create(self.name, budget_usd=self.budget_usd, horizon=horizon, unit="seconds")


def _cheapest(costs: FloatArray) -> str:
    if np.isnan(costs).all():
        return "no candidate that may answer has a known price"
    least = float(np.nanmin(costs))
    return (
        f"{_AT_MOST:g} times the {least:.3g} USD have to be there that the cheapest candidate that may "
        "answer is expected to cost"
    )
