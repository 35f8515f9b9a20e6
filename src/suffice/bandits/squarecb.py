"""Chances that fall with the gap to the best arm.

References
----------
Foster and Rakhlin (2020), Beyond UCB: optimal and efficient contextual bandits with regression oracles,
arXiv 2002.04926, algorithm 1; inverse gap weighting with gamma = gamma_scale * sqrt(rewards + 1).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from suffice.bandits.base import Vector
from suffice.bandits.linear import LinearBandit
from suffice.errors import ConfigError
from suffice.types import BoolArray, FloatArray


class SquareCB(LinearBandit):
    """p(arm) = 1 / (K + gamma * gap), the rest to the best."""

    name = "squarecb"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        gamma_scale: float = 10.0,
        ridge: float = 0.5,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        super().__init__(arms, d, alpha=0.0, ridge=ridge, floor=floor, lease_s=lease_s, seed=seed)
        if not gamma_scale > 0:
            raise ConfigError(f"gamma_scale is {gamma_scale}; above 0 is needed")
        self.gamma_scale = gamma_scale

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> FloatArray:
        values = (self._theta @ x).astype(float)
        if penalty is not None:
            values = values - penalty
        may = np.ones(len(values), bool) if eligible is None else eligible
        top = int(np.where(may, values, -np.inf).argmax())
        gamma = self.gamma_scale * math.sqrt(self.version + 1)
        chances = np.where(may, 1 / (may.sum() + gamma * (values[top] - values)), 0.0)
        chances[top] = 0.0
        chances[top] = 1 - chances.sum()
        return np.asarray(chances)

    def _params(self) -> dict[str, Any]:
        kept = {name: value for name, value in super()._params().items() if name != "alpha"}
        return kept | {"gamma_scale": self.gamma_scale}
