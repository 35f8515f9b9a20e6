"""The best arm so far, and now and then any.

References
----------
Sutton and Barto (2018), Reinforcement Learning, section 2.2, with a linear model for each arm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from suffice.bandits.base import Vector, best
from suffice.bandits.linear import LinearBandit
from suffice.errors import ConfigError
from suffice.types import BoolArray, FloatArray


class EpsilonGreedy(LinearBandit):
    """argmax of mean - price * cost with chance 1 - epsilon, else an eligible arm by lot."""

    name = "epsilon_greedy"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        epsilon: float = 0.05,
        ridge: float = 0.5,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        super().__init__(arms, d, alpha=0.0, ridge=ridge, floor=floor, lease_s=lease_s, seed=seed)
        if not 0 <= epsilon <= 1:
            raise ConfigError(f"epsilon is {epsilon}; 0 to 1 is needed")
        self.epsilon = epsilon

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> FloatArray:
        may = np.ones(len(self.arms)) if eligible is None else eligible.astype(float)
        chances = self.epsilon * may / may.sum()
        mean: Any = self._theta @ x
        chances[best(mean, penalty, eligible)] += 1 - self.epsilon
        return np.asarray(chances)

    def _params(self) -> dict[str, Any]:
        kept = {name: value for name, value in super()._params().items() if name != "alpha"}
        return kept | {"epsilon": self.epsilon}
