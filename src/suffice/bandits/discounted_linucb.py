"""LinUCB that forgets: what was learnt a while ago counts less, so that a change is followed.

References
----------
Russac, Vernade and Cappé (2019), Weighted linear bandits for non-stationary environments, arXiv
1909.09146. Departures: the ridge is not discounted away (A <- gamma A + x x' + (1 - gamma) ridge I), and
an arm's discount is made up for when it is next rewarded, so that a decision touches no inverse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.bandits.base import Pull, Vector
from suffice.bandits.linear import BASELINE, LinearBandit, Statistics
from suffice.bandits.linucb import LinUCB
from suffice.errors import ConfigError


class DiscountedLinUCB(LinUCB):
    """Memory of about 1 / (1 - gamma) decisions."""

    name = "discounted_linucb"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        gamma: float = 0.997,
        alpha: float = 0.2,
        ridge: float = 0.5,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        if not 0 < gamma <= 1:
            raise ConfigError(f"gamma is {gamma}; above 0 and at most 1 is needed")
        self.gamma, self._clock = gamma, 0
        self._last = np.zeros(len(arms), np.intp)
        super().__init__(arms, d, alpha=alpha, ridge=ridge, floor=floor, lease_s=lease_s, seed=seed)

    def merge(self, other: Statistics) -> None:
        """Raises ConfigError: what is forgotten depends on the order in which it came."""
        raise ConfigError("replicas that forget cannot be put together: their sums depend on the order")

    def _variances(self, x: Vector) -> Any:
        faded = self.gamma ** (self._clock - self._last).astype(np.float32)
        most = float(x @ x) / self.ridge
        return np.minimum(super()._variances(x) / np.maximum(faded, 1e-9), most)

    def _asked(self, place: int, pull: Pull) -> None:
        self._clock += 1
        super()._asked(place, pull)

    def _learnt(self, place: int, pull: Pull, reward: float) -> None:
        self._due.pop(pull.id, None)
        faded = self.gamma ** int(self._clock - self._last[place])
        self._last[place] = self._clock
        self._gram[place] *= faded
        self._target[place] *= faded
        self._gram[place] += np.multiply.outer(pull.x, pull.x)
        self._target[place] += (reward - BASELINE) * pull.x
        self._renew(place)

    def _grown(self) -> None:
        self._last = np.append(self._last, self._clock)
        super()._grown()

    def _shrunk(self, place: int) -> None:
        self._last = np.delete(self._last, place)
        super()._shrunk(place)

    def _params(self) -> dict[str, Any]:
        return super()._params() | {"gamma": self.gamma}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return super()._arrays() | {"last": self._last, "clock": np.array(self._clock)}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        LinearBandit._restore(self, arrays)
        if arrays["last"].shape != self._last.shape:
            raise ConfigError(f"last has shape {arrays['last'].shape}")
        self._last, self._clock = arrays["last"], int(arrays["clock"])
