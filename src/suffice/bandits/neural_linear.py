"""A small network finds what matters in a context; Bayesian linear regressions on its last layer explore.

References
----------
Riquelme, Tucker and Snoek (2018), Deep Bayesian Bandits Showdown, arXiv 1802.09127, section 4 (Neural
Linear) with the posterior of section 3, equations 1 and 2. Departures: Adam in the place of RMSProp; an arm
is pulled with the chance that it is best, by normal numbers of the posterior's mean noise, so that
propensities are exact (see `lin_ts`); the width of an arm shrinks when it is pulled, not when its reward
comes; the latest `memory` rewards are kept, in the paper all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.bandits.base import BaseBandit, Estimates, Pull, Vector
from suffice.bandits.lin_ts import LinTS, chances_of_highest
from suffice.bandits.linear import BASELINE
from suffice.errors import ConfigError, DataError
from suffice.types import BoolArray, FloatArray

Matrix = NDArray[np.float32]
_A0: Final = 6.0
"""Of the inverse gamma prior of an arm's noise, as in the paper's code."""
_FIRST, _SECOND, _TINY = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
"""Of Adam."""


class Network:
    """ReLU layers, and a linear output per arm (Kingma and Ba 2015, algorithm 1, trains it)."""

    def __init__(self, d: int, width: int, layers: int, n_arms: int, random: np.random.Generator) -> None:
        """Weights by He et al. (2015), section 2.2; outputs start at 0."""
        sizes = [d, *[width] * layers]
        self.weights: list[Matrix] = []
        """(in, out) and (out,) of each layer, at last (width + 1, K), whose last row is constant."""
        for below, above in itertools.pairwise(sizes):
            drawn = random.normal(scale=math.sqrt(2 / below), size=(below, above))
            self.weights += [drawn.astype(np.float32), np.zeros(above, np.float32)]
        self.weights.append(np.zeros((width + 1, n_arms), np.float32))
        self.moments = [np.zeros((2, *one.shape), np.float32) for one in self.weights]
        self.n_steps = 0

    def features(self, x: Matrix) -> Matrix:
        """(n, width + 1): the last layer and a constant."""
        return self._layers(x)[-1]

    def train(self, x: Matrix, arm: NDArray[np.intp], target: Matrix, weight: Matrix, rate: float) -> None:
        """One step down the weighted squared error of the pulled arms' outputs."""
        layers = self._layers(x)
        rows = np.arange(len(x))
        error = np.zeros((len(x), self.weights[-1].shape[1]), np.float32)
        error[rows, arm] = weight * ((layers[-1] @ self.weights[-1])[rows, arm] - target) / len(x)
        slopes = [layers[-1].T @ error]
        back = (error @ self.weights[-1].T)[:, :-1] * (layers[-1][:, :-1] > 0)
        for place in range(len(layers) - 2, -1, -1):
            slopes += [back.sum(axis=0), layers[place].T @ back]
            if place:
                back = (back @ self.weights[2 * place].T) * (layers[place] > 0)
        self._step(slopes[::-1], rate)

    def resize(self, outputs: Matrix, moments: Matrix) -> None:
        """Other outputs, after an arm came or went."""
        self.weights[-1], self.moments[-1] = outputs, moments

    def _layers(self, x: Matrix) -> list[Matrix]:
        """What enters each layer, at last what enters the outputs."""
        found = [x]
        for place in range(0, len(self.weights) - 1, 2):
            found.append(np.maximum(found[-1] @ self.weights[place] + self.weights[place + 1], 0))
        found[-1] = np.column_stack([found[-1], np.ones(len(x), np.float32)])
        return found

    def _step(self, slopes: list[Matrix], rate: float) -> None:
        self.n_steps += 1
        scale = rate * math.sqrt(1 - float(_SECOND) ** self.n_steps) / (1 - float(_FIRST) ** self.n_steps)
        for place, slope in enumerate(slopes):
            moments = self.moments[place]
            moments[0] += (1 - _FIRST) * (slope - moments[0])
            moments[1] += (1 - _SECOND) * (slope * slope - moments[1])
            self.weights[place] -= np.float32(scale) * moments[0] / (np.sqrt(moments[1]) + _TINY)


class NeuralLinear(BaseBandit):
    """Thompson sampling on features that are learnt.

    Every `every` rewards the network is trained on what is remembered and the regressions are made anew from
    its features: that reward takes some milliseconds, the others as long as those of `lin_ts`.
    """

    name = "neural_linear"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        width: int = 32,
        layers: int = 1,
        every: int = 50,
        steps: int = 100,
        batch: int = 64,
        rate: float = 0.003,
        memory: int = 10_000,
        noise: float = 0.2,
        alpha: float = 1.0,
        ridge: float = 0.1,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        width, layers : of the network; 1 or 2 layers
        every, steps, batch, rate : after so many rewards it is trained for `steps` batches at that rate
        memory : rewards that are remembered; older ones are forgotten
        noise : standard deviation of rewards, as expected before there are any
        alpha : standard errors are so many times the posterior's
        ridge, floor, lease_s, seed : see `LinearBandit`
        """
        super().__init__(arms, d, floor=floor, lease_s=lease_s, seed=seed)
        if min(width, every, steps, batch, memory) < 1 or layers not in (1, 2) or memory < every:
            raise ConfigError(
                f"{self.name} with width {width}, layers {layers}, every {every}, steps {steps}, batch "
                f"{batch}, memory {memory}; 1 or 2 layers, all from 1, and a memory of at least `every` are "
                "needed"
            )
        if not 0 < rate <= 1 or not 0 < noise <= 1:
            raise ConfigError(f"{self.name} with rate {rate}, noise {noise}; above 0 to 1 are needed")
        self.width, self.layers, self.every, self.steps = width, layers, every, steps
        self.batch, self.rate, self.memory, self.noise = batch, rate, memory, noise
        self._network = Network(d, width, layers, len(arms), self._random)
        self._head = LinTS(arms, width + 1, alpha=alpha, ridge=ridge)
        self._sd = np.full(len(arms), noise)
        """(K,) of the arms' noise."""
        self._kept = np.zeros((0, d + 3), np.float32)
        """Rewards, the oldest first: the arm's place, the reward less BASELINE, the weight, the context."""
        self._fresh: list[Matrix] = []
        """Rows that are not in `_kept` yet."""

    def warm(self, x: ArrayLike, quality: ArrayLike) -> NeuralLinear:
        """Remember recorded outcomes as if they were rewards, and train on them as often as on those.

        Parameters
        ----------
        x : shape (n, d)
        quality : shape (n, K), in [0, 1], NaN for unknown; what `memory` has no room for is left out, the
            first rows first
        """
        rows, known = np.asarray(x, np.float32), np.asarray(quality, np.float32)
        if rows.shape != (len(known), self.d) or known.shape[1:] != (len(self.arms),):
            raise DataError(
                f"contexts {rows.shape} and quality {known.shape} for {len(self.arms)} arms of {self.d}"
            )
        at, arm = np.nonzero(~np.isnan(known))
        head = np.column_stack([arm, known[at, arm] - BASELINE, np.ones(len(at))])
        self._fresh += list(np.column_stack([head, rows[at]]).astype(np.float32))
        self._remember()
        for _ in range(math.ceil(len(self._kept) / self.every)):
            self._train()
        self._refresh()
        return self

    def take(self) -> Any:
        """Raises ConfigError: features of two networks do not add up."""
        raise ConfigError(
            f"replicas of {self.name!r} cannot be put together: each has a network of its own, and their "
            "regressions do not add up; `adopt` the other's pulls and `learn` their rewards instead"
        )

    def _features(self, x: Vector) -> Vector:
        return np.asarray(self._network.features(x[None])[0])

    def _estimates(self, x: Vector) -> Estimates:
        mean, width = self._head._estimates(self._features(x))
        return Estimates(mean, width * self._sd)

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> FloatArray:
        mean, width = self._estimates(x)
        values = mean.astype(float) if penalty is None else mean - penalty
        return chances_of_highest(values, np.maximum(width, 1e-6), eligible)

    def _asked(self, place: int, pull: Pull) -> None:
        seen = msgspec.structs.replace(pull, x=self._features(pull.x))
        self._head._waiting[pull.id] = seen
        self._head._asked(place, seen)

    def _took(self, place: int, pull: Pull, reward: float, weight: float) -> None:
        seen = self._head._waiting.pop(pull.id)
        self._head._took(place, seen, reward, weight)
        row = np.array([place, reward - BASELINE, weight], np.float32)
        self._fresh.append(np.append(row, pull.x))
        if len(self._fresh) >= self.every:
            self._remember()
            self._train()
            self._refresh()

    def _forgotten(self, place: int, pull: Pull) -> None:
        self._head._forgotten(place, self._head._waiting.pop(pull.id))

    def _remember(self) -> None:
        if self._fresh:
            self._kept = np.concatenate([self._kept, np.stack(self._fresh)])[-self.memory :]
            self._fresh.clear()

    def _train(self) -> None:
        arms = self._kept[:, 0].astype(np.intp)
        drawn = self._random.integers(len(arms), size=(self.steps, self.batch))
        for rows in drawn:
            part = self._kept[rows]
            self._network.train(part[:, 3:], arms[rows], part[:, 1], part[:, 2], self.rate)

    def _refresh(self) -> None:
        """The regressions from what is remembered, as the network sees it now (equations 1 and 2)."""
        seen = self._network.features(self._kept[:, 3:]).astype(np.float64)
        arms, target, weight = self._kept[:, :3].astype(np.float64).T
        head = self._head
        head._news.clear()
        for place in range(len(self.arms)):
            mine = arms == place
            rows = seen[mine] * weight[mine, None]
            head._gram[place], head._target[place] = rows.T @ seen[mine], rows.T @ target[mine]
        self._see_again()
        head._rebuild()
        for place in range(len(self.arms)):
            mine = arms == place
            left = float(weight[mine] @ target[mine] ** 2 - head._target[place] @ head._theta[place])
            scale = (_A0 - 1) * self.noise**2 + max(left, 0.0) / 2
            self._sd[place] = math.sqrt(scale / (_A0 - 1 + weight[mine].sum() / 2))

    def _see_again(self) -> None:
        """What waits, as the network sees it now."""
        for key, pull in self._waiting.items():
            self._head._waiting[key] = msgspec.structs.replace(pull, x=self._features(pull.x))

    def _grown(self) -> None:
        network, head = self._network, self._head
        head.add_arm(self.arms[-1])
        outputs, moments = network.weights[-1], network.moments[-1]
        network.resize(
            np.column_stack([outputs, outputs.mean(axis=1)]), np.pad(moments, ((0, 0), (0, 0), (0, 1)))
        )
        self._sd = np.append(self._sd, self.noise)

    def _shrunk(self, place: int) -> None:
        network, head = self._network, self._head
        head.remove_arm(head.arms[place])
        network.resize(
            np.delete(network.weights[-1], place, axis=1), np.delete(network.moments[-1], place, axis=2)
        )
        self._sd = np.delete(self._sd, place)
        self._remember()
        self._kept = self._kept[self._kept[:, 0] != place]
        self._kept[:, 0] -= self._kept[:, 0] > place

    def _params(self) -> dict[str, Any]:
        own = ("width", "layers", "every", "steps", "batch", "rate", "memory", "noise")
        shared = {"alpha": self._head.alpha, "ridge": self._head.ridge}
        return super()._params() | {name: getattr(self, name) for name in own} | shared

    def _arrays(self) -> dict[str, NDArray[Any]]:
        network = self._network
        fresh = np.stack(self._fresh) if self._fresh else self._kept[:0]
        own = {"kept": self._kept, "fresh": fresh, "sd": self._sd, "n_steps": np.array(network.n_steps)}
        for place, (weights, moments) in enumerate(zip(network.weights, network.moments, strict=True)):
            own |= {f"weights_{place}": weights, f"moments_{place}": moments}
        return own | {f"head_{name}": array for name, array in self._head._arrays().items()}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        network, wide = self._network, self._kept.shape[1:]
        expected = {"kept": wide, "fresh": wide, "sd": self._sd.shape}
        for name, shape in expected.items():
            found = arrays[name].shape if name == "sd" else arrays[name].shape[1:]
            if found != shape:
                raise ConfigError(f"{name} has shape {arrays[name].shape}, expected {shape}")
        for place, (weights, moments) in enumerate(zip(network.weights, network.moments, strict=True)):
            for name, array in ((f"weights_{place}", weights), (f"moments_{place}", moments)):
                if arrays[name].shape != array.shape:
                    raise ConfigError(f"{name} has shape {arrays[name].shape}, expected {array.shape}")
                array[:] = arrays[name]
        network.n_steps = int(arrays["n_steps"])
        self._kept, self._fresh, self._sd = arrays["kept"], list(arrays["fresh"]), arrays["sd"]
        self._see_again()
        self._head._restore({name[5:]: array for name, array in arrays.items() if name[:5] == "head_"})
