"""LinUCB on the latest rewards alone.

References
----------
Cheung, Simchi-Levi and Zhu (2019), Learning to optimize under non-stationarity, arXiv 1810.03024
(SW-UCB).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.bandits.base import Pull
from suffice.bandits.linear import BASELINE, LinearBandit, Statistics
from suffice.bandits.linucb import LinUCB
from suffice.errors import ConfigError


class SlidingWindow(LinUCB):
    """Forgets a reward when `window` newer ones have come."""

    name = "sliding_window"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        window: int = 1000,
        alpha: float = 0.2,
        ridge: float = 0.5,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        if window < 1:
            raise ConfigError(f"window is {window}; at least 1 is needed")
        self.window = window
        self._kept: deque[tuple[str, NDArray[np.float32], float]] = deque()
        super().__init__(arms, d, alpha=alpha, ridge=ridge, floor=floor, lease_s=lease_s, seed=seed)

    def merge(self, other: Statistics) -> None:
        """Raises ConfigError: which rewards are the latest cannot be told from sums."""
        raise ConfigError("replicas with windows cannot be put together: sums do not say what is latest")

    def _learnt(self, place: int, pull: Pull, reward: float) -> None:
        super()._learnt(place, pull, reward)
        self._kept.append((pull.arm, pull.x, reward))
        if len(self._kept) > self.window:
            arm, x, old = self._kept.popleft()
            gone = self.arms.index(arm)
            self._settle()
            self._gram[gone] -= np.multiply.outer(x, x)
            self._target[gone] -= (old - BASELINE) * x
            self._renew(gone)

    def _shrunk(self, place: int) -> None:
        super()._shrunk(place)
        self._kept = deque(one for one in self._kept if one[0] in self.arms)

    def _params(self) -> dict[str, Any]:
        return super()._params() | {"window": self.window}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        rows = [x for _, x, _ in self._kept]
        return super()._arrays() | {
            "kept_x": np.stack(rows) if rows else np.zeros((0, self.d), np.float32),
            "kept_arm": np.array([arm for arm, _, _ in self._kept], dtype=np.str_),
            "kept_reward": np.array([reward for _, _, reward in self._kept], np.float64),
        }

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        LinearBandit._restore(self, arrays)
        rows = zip(arrays["kept_arm"].tolist(), arrays["kept_x"], arrays["kept_reward"].tolist(), strict=True)
        self._kept = deque(rows)
