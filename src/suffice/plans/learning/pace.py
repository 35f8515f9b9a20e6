"""A budget for each day (UTC) as a price: reward given up per USD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from suffice.budgets import pacing
from suffice.errors import BudgetExceeded
from suffice.types import BoolArray, FloatArray

DAY_S: Final = 86_400.0
_AT_MOST: Final = 2.0
"""Times its predicted cost, an answer is taken to cost at most."""


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
                f"the policy's {self.budget_usd:g} USD for today are spent, or no candidate that may answer "
                "has a known price that they still cover",
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
