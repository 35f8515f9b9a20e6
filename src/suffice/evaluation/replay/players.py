"""Policies on a stream: routers, whose scores stand still, and what is known to nobody, the truth."""

from __future__ import annotations

import numpy as np

from suffice.budgets.pacing import pick
from suffice.types import BoolArray, FloatArray


class Scored:
    """Scores that are known from the start: of a router trained on warm data, or the true rewards."""

    def __init__(self, scores: FloatArray) -> None:
        """
        Parameters
        ----------
        scores : (n, K), in the order of the stream; NaN: the arm is not known
        """
        self._scores = scores

    def scores(self, t: int) -> FloatArray:
        """(K,)"""
        return np.asarray(self._scores[t])

    def choose(self, t: int, costs: FloatArray, allowed: BoolArray, price: float) -> int:
        """The best worth; where no allowed arm is known, the cheapest."""
        arm = pick(self._scores[t], costs, price, allowed)
        return int(np.argmin(np.where(allowed, costs, np.inf))) if arm is None else arm

    def learn(self, t: int, arm: int, reward: float) -> None:
        """Does not."""

    def appears(self, arm: int) -> None:
        """Is not noticed."""
