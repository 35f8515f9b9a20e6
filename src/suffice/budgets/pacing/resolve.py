"""The price, solved again and again for the money and the queries that are left."""

from __future__ import annotations

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
        self._past = np.empty((2, 0, 0))  # rewards and costs of the last queries, a ring once it is full
        self._next = 0
        self._solved, self._age = 0.0, 0

    def _warm(self, rewards: FloatArray, costs: FloatArray) -> None:
        for one_rewards, one_costs in zip(rewards[-self.window :], costs[-self.window :], strict=True):
            self._note(one_rewards, one_costs)
        self._age = 0

    def _price(self, rewards: FloatArray, costs: FloatArray) -> float:
        self._note(rewards, costs)
        is_due = self._age % self.every == 0 or min(self.n_queries, self.queries_left) <= self.every
        if is_due and self._past.shape[1]:
            self._solved = min(price_of(self._past[0], self._past[1], self.target_usd), 1e30)
        self._age += 1
        return self._solved

    def _note(self, rewards: FloatArray, costs: FloatArray) -> None:
        """A query, unless no arm is known for it."""
        is_unknown = np.isnan(rewards) | np.isnan(costs)
        if is_unknown.all():
            return
        row = np.where(is_unknown, np.nan, np.stack([rewards, costs]))[:, None]
        if self._past.shape[2] != len(rewards):  # an arm came or went
            self._past, self._next = np.empty((2, 0, len(rewards))), 0
        if self._past.shape[1] < self.window:
            self._past = np.concatenate([self._past, row], axis=1)
            return
        self._past[:, self._next] = row[:, 0]
        self._next = (self._next + 1) % self.window

    def _state(self) -> dict[str, Any]:
        past = self._past.astype(object)
        past[np.isnan(self._past)] = None  # JSON has no NaN
        return {
            "past": past.tolist(),
            "shape": list(self._past.shape),
            "next": self._next,
            "solved": self._solved,
            "age": self._age,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._past = np.array(state["past"], np.float64).reshape(state["shape"])
        self._next, self._solved, self._age = int(state["next"]), float(state["solved"]), int(state["age"])
