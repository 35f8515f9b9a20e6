"""Disjoint linear models: one ridge regression per arm, kept up to date by rank-one steps.

References
----------
Li et al. (2010), A contextual-bandit approach to personalized news article recommendation, algorithm 1.
Two inverses per arm: one of what was asked, for the width, which grows at the decision; one of what was
rewarded, for the mean. Without delay they are the same; with it the width of an arm shrinks as soon as it
is pulled, so that the same arm is not pulled over and over until its first reward comes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suffice.bandits.base import BaseBandit, Estimates, Pull, Vector
from suffice.errors import ConfigError
from suffice.types import FloatArray

BASELINE = 0.5
"""What an arm that nothing is known of is expected to bring; regressions are on what differs from it."""
_BASELINE = np.float32(BASELINE)
_MOST_ALPHA = 1e6
"""Widths stay within float32; rewards are in [0, 1]."""
_REFRESH = 256
"""Rewards after which the sums are brought up to date, and the next arm's inverse is made anew from them."""


class Statistics(NamedTuple):
    """What a replica learnt: additive, so that replicas can be put together in any order."""

    arms: tuple[str, ...]
    gram: FloatArray
    """(K, d, d) sum of x x'."""
    target: FloatArray
    """(K, d) sum of (reward - BASELINE) x."""
    n: int
    """Rewards."""


class LinearBandit(BaseBandit):
    """Means by ridge regression, widths by what was asked."""

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        alpha: float = 0.2,
        ridge: float = 0.5,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        alpha : how many standard errors the width is
        ridge : pseudo-observations of BASELINE (or of the prior) in every direction, above 0
        floor, lease_s, seed : see `BaseBandit`
        """
        super().__init__(arms, d, floor=floor, lease_s=lease_s, seed=seed)
        if not 0 <= alpha <= _MOST_ALPHA or not 0 < ridge < math.inf:
            raise ConfigError(
                f"{self.name} with alpha {alpha}, ridge {ridge}; 0 to {_MOST_ALPHA:g} and above 0 are needed"
            )
        self.alpha, self.ridge = alpha, ridge
        n = len(arms)
        self._gram, self._target = np.zeros((n, d, d)), np.zeros((n, d))
        self._news: list[tuple[int, Vector, float]] = []
        """Rewards that are in the inverses, and not yet in the sums."""
        self._due: dict[str, tuple[int, Vector]] = {}
        """Asked since the last decision, and not yet in the inverse for widths."""
        self._told = (self._gram.copy(), self._target.copy(), 0)
        self._turn, self._n_out = 0, [0] * n
        self._start = np.zeros((n, d))
        """(K, d) where the regressions start from."""
        self._rebuild()

    def start_from(self, theta: FloatArray, gram: FloatArray | None = None) -> None:
        """A prior: weights (K, d) of what differs from BASELINE; (K, d, d) evidence beyond the ridge."""
        if theta.shape != self._start.shape:
            raise ConfigError(f"a prior of shape {theta.shape}, expected {self._start.shape}")
        self._start = np.array(theta, np.float64)
        self._settle()
        if gram is not None:
            self._gram = self._gram + gram
            self._target = self._target + np.einsum("kij,kj->ki", gram, theta)
            self._told = (self._gram.copy(), self._target.copy(), self.version)
        self._rebuild()

    def take(self) -> Statistics:
        """What was learnt since the last time this was called."""
        self._settle()
        gram, target, n = self._told
        found = Statistics(self.arms, self._gram - gram, self._target - target, self.version - n)
        self._told = (self._gram.copy(), self._target.copy(), self.version)
        return found

    def merge(self, other: Statistics) -> None:
        """Add what another replica learnt; the result does not depend on the order.

        Raises
        ------
        ConfigError
            If its arms or dimension are others.
        """
        if not isinstance(other, Statistics):
            raise ConfigError(f"{type(other).__name__} is not what `take` of a linear bandit gives")
        if other.arms != self.arms or other.gram.shape != self._gram.shape:
            raise ConfigError(
                f"a replica of {', '.join(other.arms)} with d {other.gram.shape[-1]}, and this is one of "
                f"{', '.join(self.arms)} with d {self.d}: they have to be the same, in the same order"
            )
        self._settle()
        self._gram += other.gram
        self._target += other.target
        self.version += other.n
        gram, target, n = self._told
        self._told = (gram + other.gram, target + other.target, n + other.n)
        self._rebuild()

    def _estimates(self, x: Vector) -> Estimates:
        mean: Any = self._theta.dot(x)
        mean += _BASELINE
        width = self._variances(x)
        np.sqrt(width, out=width)
        width *= self.alpha
        return Estimates(mean, width)

    def _variances(self, x: Vector) -> Any:
        """(K,) x' A^-1 x of what was asked."""
        if self._due:
            self._widen()
        found = self._wide.dot(x).reshape(self._theta.shape).dot(x)
        return np.maximum(found, 0.0, out=found)

    def _widen(self) -> None:
        """Bring the widths up to date with what was asked."""
        for place, x in self._due.values():
            _step(self._asked_inverse[place], x)
            self._n_out[place] += 1
        self._due.clear()

    def _asked(self, place: int, pull: Pull) -> None:
        self._due[pull.id] = (place, pull.x)

    def _learnt(self, place: int, pull: Pull, reward: float) -> None:
        x = pull.x
        theta, inverse = self._theta[place], self._inverse[place]
        along = inverse.dot(x)
        part = along / np.float32(1.0 + x.dot(along))
        inverse -= np.multiply.outer(along, part)
        part *= reward - BASELINE - theta.dot(x)
        theta += part
        if self._due.pop(pull.id, None) is None:
            self._n_out[place] -= 1
        elif self._n_out[place]:  # no decision in between, and others of this arm are out
            _step(self._asked_inverse[place], x)
        if not self._n_out[place]:
            self._asked_inverse[place] = inverse
        self._news.append((place, x, reward))
        if len(self._news) >= _REFRESH:
            self._turn = (self._turn + 1) % len(self.arms)
            self._renew(self._turn)

    def _settle(self) -> None:
        """Bring the sums up to date."""
        for place in {place for place, _, _ in self._news}:
            rows = np.array([x for arm, x, _ in self._news if arm == place], np.float64)
            brought = np.array([reward for arm, _, reward in self._news if arm == place]) - BASELINE
            self._gram[place] += rows.T @ rows
            self._target[place] += brought @ rows
        self._news.clear()

    def _forgotten(self, place: int, pull: Pull) -> None:
        if self._due.pop(pull.id, None) is not None:
            return
        self._n_out[place] -= 1
        x = pull.x
        along = self._asked_inverse[place] @ x
        scale = 1.0 - float(x @ along)
        if scale > 1e-3:
            self._asked_inverse[place] += np.multiply.outer(along, along / scale)
        else:
            self._renew(place)

    def _renew(self, place: int) -> None:
        """Inverses from the sums; what waits is asked again."""
        self._settle()
        eye = self.ridge * np.eye(self.d)
        inverse = np.linalg.inv(self._gram[place] + eye)
        self._inverse[place] = self._asked_inverse[place] = inverse
        self._theta[place] = inverse @ (self._target[place] + self.ridge * self._start[place])
        self._n_out[place] = 0
        for one in self._waiting.values():
            if one.arm == self.arms[place] and one.id not in self._due:
                _step(self._asked_inverse[place], one.x)
                self._n_out[place] += 1

    def _rebuild(self) -> None:
        n, d = len(self.arms), self.d
        self._due.clear()
        self._inverse = np.empty((n, d, d), np.float32)
        self._asked_inverse = np.empty((n, d, d), np.float32)
        self._wide = self._asked_inverse.reshape(n * d, d)
        self._theta = np.empty((n, d), np.float32)
        self._turn = 0
        self._n_out = [0] * n
        """Pulls that wait and are in the inverse for widths."""
        for place in range(n):
            self._renew(place)

    def _grown(self) -> None:
        self._settle()
        gram, target, n = self._told
        more = (np.zeros((1, self.d, self.d)), np.zeros((1, self.d)))
        self._gram, gram = (np.concatenate([one, more[0]]) for one in (self._gram, gram))
        self._target, target = (np.concatenate([one, more[1]]) for one in (self._target, target))
        self._told = (gram, target, n)
        self._start = np.concatenate([self._start, self._start.mean(axis=0, keepdims=True)])
        self._rebuild()

    def _shrunk(self, place: int) -> None:
        self._settle()
        gram, target, n = self._told
        self._gram, gram = (np.delete(one, place, axis=0) for one in (self._gram, gram))
        self._target, target = (np.delete(one, place, axis=0) for one in (self._target, target))
        self._told = (gram, target, n)
        self._start = np.delete(self._start, place, axis=0)
        self._rebuild()

    def _params(self) -> dict[str, Any]:
        return super()._params() | {"alpha": self.alpha, "ridge": self.ridge}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        self._settle()
        self._widen()
        told = {"told_gram": self._told[0], "told_target": self._told[1], "told_n": np.array(self._told[2])}
        live = {"inverse": self._inverse, "asked_inverse": self._asked_inverse, "theta": self._theta}
        sums = {"gram": self._gram, "target": self._target, "start": self._start}
        return sums | told | live

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        shape = (len(self.arms), self.d)
        for name in ("gram", "inverse", "asked_inverse", "told_gram"):
            if arrays[name].shape != (*shape, self.d):
                raise ConfigError(f"{name} has shape {arrays[name].shape}, expected {(*shape, self.d)}")
        for name in ("target", "start", "theta", "told_target"):
            if arrays[name].shape != shape:
                raise ConfigError(f"{name} has shape {arrays[name].shape}, expected {shape}")
        self._gram, self._target, self._start = arrays["gram"], arrays["target"], arrays["start"]
        self._told = (arrays["told_gram"], arrays["told_target"], int(arrays["told_n"]))
        self._inverse[:], self._asked_inverse[:] = arrays["inverse"], arrays["asked_inverse"]
        self._theta[:] = arrays["theta"]
        self._n_out = [sum(one.arm == arm for one in self._waiting.values()) for arm in self.arms]


def _step(inverse: NDArray[np.float32], x: Vector) -> None:
    """A^-1 after x x' was added to A (Sherman and Morrison)."""
    along = inverse.dot(x)
    inverse -= np.multiply.outer(along, along / np.float32(1.0 + x.dot(along)))
