"""One price for the whole stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from suffice.budgets.bound import price_of
from suffice.budgets.pacing.base import Pacer, Unit
from suffice.types import FloatArray


class Static(Pacer):
    """The price that would have spent the budget on queries of the past; only the hard cap corrects it."""

    name: ClassVar[str] = "static"

    def __init__(
        self,
        *,
        budget_usd: float,
        horizon: float,
        unit: Unit = "queries",
        price_per_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        price_per_usd : to keep to, reward per USD; None: learnt by `warm`, and 0 without
        """
        super().__init__(budget_usd=budget_usd, horizon=horizon, unit=unit)
        if price_per_usd is not None and not price_per_usd >= 0:
            raise ValueError(f"price_per_usd is {price_per_usd}; expected at least 0")
        self.price_per_usd = price_per_usd
        self._learnt = 0.0

    def _warm(self, rewards: FloatArray, costs: FloatArray) -> None:
        if len(rewards):
            self._learnt = min(price_of(rewards, costs, self.target_usd), 1e30)

    def _price(self, rewards: FloatArray, costs: FloatArray) -> float:
        return self._learnt if self.price_per_usd is None else self.price_per_usd

    def _state(self) -> dict[str, Any]:
        return {"learnt": self._learnt}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._learnt = float(state["learnt"])
