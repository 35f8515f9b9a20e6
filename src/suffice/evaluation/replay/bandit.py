"""A bandit of `suffice.bandits` as a policy on a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from suffice import bandits
from suffice.bandits.linear import BASELINE, LinearBandit
from suffice.bandits.neural_linear import NeuralLinear
from suffice.bandits.pilot import Pilot
from suffice.evaluation.replay.stream import Stream
from suffice.types import BoolArray, FloatArray

_BURN_IN: Final = 3
"""Queries that a new arm gets before it competes."""
_RIDGES: Final = (1.0, 10.0, 100.0, 1000.0)
_N_FOLDS: Final = 5


class BanditPlayer:
    """Learns from warm data, then on the stream. Estimates are optimistic, as its choices are."""

    def __init__(
        self, name: str, params: Mapping[str, Any], stream: Stream, known: BoolArray, seed: int
    ) -> None:
        """
        Parameters
        ----------
        params : of the bandit
        known : (K,), arms that are there from the start
        """
        self._stream, self._n_arms = stream, len(stream.arms)
        self._places = [int(arm) for arm in np.flatnonzero(known)]
        """Of the bandit's arms in the stream."""
        arms = [stream.arms[place] for place in self._places]
        given = {"seed": seed} | dict(params)
        self._has_ridge = "ridge" in given
        self.bandit: bandits.BaseBandit = bandits.create(name, arms, stream.contexts.shape[1], **given)
        self._chosen: dict[int, int] = {}
        self._hope()

    def _hope(self) -> None:
        """Without data, every arm is taken to be right until it is seen not to be: each gets asked."""
        if isinstance(self.bandit, LinearBandit):
            start = np.zeros((len(self._places), self.bandit.d))
            start[:, -1] = 1 - BASELINE
            self.bandit.start_from(start)

    def warm(self, contexts: NDArray[np.float32], quality: FloatArray, scored: Sequence[str]) -> None:
        """Past queries (n, d) with the rewards (n, K) of all known arms.

        Regressions start from the arm's own supervised score, as it stands in the context. How far they may
        leave it, the bandit's `ridge`, is what foretells held-out warm queries best, unless it was given.

        Parameters
        ----------
        scored : the arms whose supervised scores are the last columns before the constant
        """
        if isinstance(self.bandit, NeuralLinear):
            self.bandit.warm(contexts, quality[:, self._places])
        if not isinstance(self.bandit, LinearBandit):
            return
        rows, gains = contexts.astype(np.float64), quality[:, self._places] - BASELINE
        start = np.zeros((len(self._places), self.bandit.d))
        start[:, -1] = gains.mean(axis=0)
        for place, arm in enumerate(self.bandit.arms):
            if arm in scored:
                start[place, self.bandit.d - 1 - len(scored) + scored.index(arm)] = 1
        if not self._has_ridge:
            self.bandit.ridge = _held_out_ridge(rows, gains, start)
        self.bandit.start_from(start)
        if isinstance(self.bandit, Pilot):
            self.bandit.warm(rows, quality[:, self._places])
            return
        theta = _regressed(rows, gains, start, self.bandit.ridge)
        self.bandit.start_from(theta, np.repeat((rows.T @ rows)[None], len(theta), axis=0))

    def scores(self, t: int) -> FloatArray:
        """(K,): means and widths; NaN for arms that it does not have."""
        return self.scores_of(self._stream.contexts[t])

    def scores_of(self, x: NDArray[np.float32]) -> FloatArray:
        """(K,) for a context."""
        mean, width = self.bandit.rewards(x)
        found = np.full(self._n_arms, np.nan)
        found[self._places] = np.asarray(mean, np.float64) + width
        return found

    def choose(self, t: int, costs: FloatArray, allowed: BoolArray, price: float) -> int:
        """As the bandit decides at that price."""
        arm = self._ask(str(t), t, costs, allowed, price)
        self._chosen[t] = arm
        return arm

    def learn(self, t: int, arm: int, reward: float) -> None:
        """Of the arm that was chosen, or, where all are shown, of another."""
        if self._chosen.get(t) == arm:
            self.bandit.learn(str(t), reward)
        elif arm in self._places:
            only = np.arange(self._n_arms) == arm
            self._ask(f"{t}:{arm}", t, np.zeros(self._n_arms), only, 0.0)
            self.bandit.learn(f"{t}:{arm}", reward)

    def appears(self, arm: int) -> None:
        """A new arm, which starts where the others did."""
        if arm not in self._places:
            self._places.append(arm)
            self.bandit.add_arm(self._stream.arms[arm], burn_in=_BURN_IN)

    def _ask(self, name: str, t: int, costs: FloatArray, allowed: BoolArray, price: float) -> int:
        pull = self.bandit.decide(
            self._stream.contexts[t],
            costs[self._places],
            id=name,
            now=float(t),
            eligible=allowed[self._places],
            price=price,
        )
        return self._stream.arms.index(pull.arm)


def _regressed(rows: FloatArray, gains: FloatArray, start: FloatArray, ridge: float) -> FloatArray:
    """(K, d): ridge regression of gains (n, K) on rows (n, d) that shrinks towards `start`."""
    gram = rows.T @ rows + ridge * np.eye(rows.shape[1])
    return np.asarray(start + np.linalg.solve(gram, rows.T @ (gains - rows @ start.T)).T)


def _held_out_ridge(rows: FloatArray, gains: FloatArray, start: FloatArray) -> float:
    """The one of `_RIDGES` with the least squared error on held-out fifths."""
    errors = dict.fromkeys(_RIDGES, 0.0)
    fold = np.arange(len(rows)) % _N_FOLDS
    for held in range(min(_N_FOLDS, len(rows))):
        inside, out = fold != held, fold == held
        for ridge in _RIDGES:
            theta = _regressed(rows[inside], gains[inside], start, ridge)
            errors[ridge] += float(((gains[out] - rows[out] @ theta.T) ** 2).sum())
    return min(_RIDGES, key=lambda ridge: errors[ridge])


def is_bandit(policy: str) -> bool:
    """Whether there is a bandit of that name, or a file given by path holds one."""
    if policy in bandits.available():
        return True
    return ".py:" in policy and issubclass(cast(type, bandits.get(policy)), bandits.BaseBandit)


def names_of_bandits() -> Sequence[str]:
    """All there are."""
    return bandits.available()
