"""Exponential weights, for rewards that follow no law; the context is not read.

References
----------
Auer et al. (2002), The nonstochastic multiarmed bandit problem, figure 1 (Exp3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.bandits.base import BaseBandit, Estimates, Pull, Vector
from suffice.errors import ConfigError
from suffice.types import BoolArray, FloatArray


class Exp3(BaseBandit):
    """p = (1 - gamma) softmax(weights - price * cost) + gamma / K."""

    name = "exp3"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        gamma: float = 0.05,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        super().__init__(arms, d, floor=floor, lease_s=lease_s, seed=seed)
        if not 0 < gamma <= 1:
            raise ConfigError(f"gamma is {gamma}; above 0 and at most 1 is needed")
        self.gamma = gamma
        self._weights, self._sums = np.zeros(len(arms)), np.zeros((2, len(arms)))

    def _estimates(self, x: Vector) -> Estimates:
        seen, total = self._sums
        return Estimates((total + 0.5) / (seen + 1), np.zeros(len(self.arms)))

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> FloatArray:
        logits = self._weights if penalty is None else self._weights - penalty
        may = np.ones(len(logits), bool) if eligible is None else eligible
        raised = np.where(may, np.exp(logits - logits[may].max()), 0.0)
        return np.asarray((1 - self.gamma) * raised / raised.sum() + self.gamma * may / may.sum())

    def _learnt(self, place: int, pull: Pull, reward: float) -> None:
        self._weights[place] += self.gamma * reward / (pull.propensity * len(self.arms))
        self._sums[:, place] += (1, reward)

    def _grown(self) -> None:
        self._weights = np.append(self._weights, self._weights.mean())
        self._sums = np.column_stack([self._sums, np.zeros(2)])

    def _shrunk(self, place: int) -> None:
        self._weights = np.delete(self._weights, place)
        self._sums = np.delete(self._sums, place, axis=1)

    def _params(self) -> dict[str, Any]:
        return super()._params() | {"gamma": self.gamma}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"weights": self._weights, "sums": self._sums}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        if arrays["weights"].shape != self._weights.shape or arrays["sums"].shape != self._sums.shape:
            raise ConfigError(f"weights of shape {arrays['weights'].shape} for {len(self.arms)} arms")
        self._weights, self._sums = arrays["weights"], arrays["sums"]
