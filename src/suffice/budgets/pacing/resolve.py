"""The price, solved again and again for the money and the queries that are left."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from suffice.budgets.bound import price_of
from suffice.budgets.pacing.base import Pacer, Unit
from suffice.types import FloatArray


class Resolve(Pacer):
    """Every `every` queries, the price at which the last `window` queries would have cost what is left.

    What is left per query moves with every payment, so that errors of predicted costs and of the past
    correct themselves. Early on, `warm` queries stand for the stream.

    References
    ----------
    Jasin and Kumar (2012), A Re-solving Heuristic with Bounded Revenue Loss for Network Revenue Management.
    """

    name: ClassVar[str] = "resolve"

    def __init__(
        self,
        *,
        budget_usd: float,
        horizon: float,
        unit: Unit = "queries",
        every: int = 10,
        window: int = 1000,
    ) -> None:
        """
        Parameters
        ----------
        every : queries between two solutions, from 1; less than that near the end
        window : queries of the past to solve on, from 1
        """
        super().__init__(budget_usd=budget_usd, horizon=horizon, unit=unit)
        if every < 1 or window < 1:
            raise ValueError(f"every={every}, window={window}: each must be at least 1")
        self.every, self.window = every, window
        self._past: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=window)
        self._solved, self._age = 0.0, 0

    def _warm(self, rewards: FloatArray, costs: FloatArray) -> None:
        self._past.extend(zip(rewards, costs, strict=True))
        self._age = 0

    def _price(self, rewards: FloatArray, costs: FloatArray) -> float:
        if self._past and len(self._past[-1][0]) != len(rewards):
            self._past.clear()  # an arm came or went
        is_unknown = np.isnan(rewards) | np.isnan(costs)
        if is_unknown.all():
            return self._solved
        self._past.append((np.where(is_unknown, np.nan, rewards), np.where(is_unknown, np.nan, costs)))
        if self._age % self.every == 0 or self.n_queries < self.every or self.queries_left <= self.every:
            past_rewards, past_costs = (np.stack(part) for part in zip(*self._past, strict=True))
            self._solved = min(price_of(past_rewards, past_costs, self.target_usd), 1e30)
        self._age += 1
        return self._solved

    def _state(self) -> dict[str, Any]:
        past = [
            [[None if np.isnan(value) else value for value in row.tolist()] for row in pair]
            for pair in self._past
        ]
        return {"past": past, "solved": self._solved, "age": self._age}

    def _restore(self, state: Mapping[str, Any]) -> None:
        pairs = [(np.array(r, np.float64), np.array(c, np.float64)) for r, c in state["past"]]
        self._past = deque(pairs, maxlen=self.window)
        self._solved, self._age = float(state["solved"]), int(state["age"])
