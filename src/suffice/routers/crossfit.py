"""Held-out predictions of every arm at once, and what of them to believe.

Routers that predict (n, K) departures from the arms' means share this: of what the arms share and of
what tells them apart, the setting and the slope that held-out queries prefer, as `shrinkage` finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from suffice.routers.artefact import Arrays
from suffice.routers.base import arm_means
from suffice.routers.draws import text_draws
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.types import BoolArray, FloatArray, IntArray

_PARTS = (slice(0, 1), slice(1, None))
"""Targets of a `CrossFit`: the shared part, then each arm's own."""


class Belief(NamedTuple):
    """The arms' means, and how far to follow a prediction away from them."""

    means: FloatArray
    """(K,), NaN for an arm without data."""
    settings: tuple[int, int]
    """Chosen for the shared and for the arms' own part."""
    slopes: tuple[float, float]
    """Of the same parts; 0 keeps the means."""
    mixing: FloatArray
    """(K, K): what the arms' own parts are multiplied by; its slopes are at most the second of `slopes`."""

    def scores(self, shared: NDArray[Any], own: NDArray[Any]) -> FloatArray:
        """(n, K) from predicted departures (n, K), of the settings for either part.

        Both may be the same array. Columns of arms without data are not looked at.
        """
        if np.isnan(self.means).any():
            common, apart = _split(shared, self.means)[0], _split(own, self.means)[1]
        else:  # the same in fewer steps, which matters for one query
            common = shared.mean(axis=1, keepdims=True)
            apart = own - (common if own is shared else own.mean(axis=1, keepdims=True))
        return np.asarray(self.means + (self.slopes[0] * common + apart @ self.mixing))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a router's arrays."""
        return {"means": self.means, "mixing": self.mixing}

    def facts(self) -> dict[str, Any]:
        """For a router's manifest."""
        return {"settings": list(self.settings), "slopes": list(self.slopes)}

    @classmethod
    def restore(cls, arrays: Arrays, facts: Mapping[str, Any], n_arms: int) -> Self:
        """The reverse of `arrays` and `facts`."""
        (shared, own), (slope, own_slope) = facts["settings"], facts["slopes"]
        means = arrays.take("means", "f", (n_arms,), finite=False)
        mixing = arrays.take("mixing", "f", (n_arms, n_arms))
        return cls(means, (int(shared), int(own)), (float(slope), float(own_slope)), mixing)


class CrossFit:
    """Collects held-out predictions for each of several settings."""

    def __init__(self, quality: FloatArray, n_settings: int = 1) -> None:
        """
        Parameters
        ----------
        quality : (n, K), NaN unknown
        """
        self.means = arm_means(quality)
        shared, own, self._is_known = shared_and_own(quality - self.means)
        self._targets = np.hstack((shared, own)).T
        self._held_out = HeldOut(n_settings, len(self._targets))

    def add(self, setting: int, rows: IntArray, departures: NDArray[Any]) -> None:
        """Predicted departures (len(rows), K) of training queries that were left out."""
        shared, own = _split(departures, self.means)
        predicted = np.hstack((shared, np.where(self._is_known[rows], own, 0.0))).T
        self._held_out.add(setting, predicted, self._targets[:, rows])

    def belief(self) -> Belief:
        """The settings of the highest held-out correlation, their slopes, and how the own parts mix."""
        last = len(self._targets) - 1
        shared, own = (self._held_out.best(part) for part in (_PARTS[0], _PARTS[min(last, 1)]))
        slope, own_slope = (
            self._held_out.slope(one, part) for one, part in zip((shared, own), _PARTS, strict=True)
        )
        mixing = self._held_out.mixing(own, _PARTS[1])
        return Belief(self.means, (shared, own), (slope, own_slope), mixing)


def folds(texts: Sequence[str], n_folds: int, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows inside and rows held out, in turn; equal texts never stand on both sides, no side is empty."""
    numbers = (text_draws(texts, seed) % np.uint64(n_folds)).astype(np.intp)
    for fold in range(n_folds):
        inside, held = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        if len(inside) and len(held):
            yield inside, held


class Parts:
    """What (n, K) quality is learnt as: R targets, the shared part and each arm's own.

    What decides between two arms is the difference of their scores, so that is a target by itself. Of
    two arms known everywhere the second's own part is minus the first's, and one arm has none.
    """

    def __init__(self, quality: FloatArray) -> None:
        """
        Parameters
        ----------
        quality : (n, K), NaN unknown
        """
        shared, own, is_known = shared_and_own(quality - arm_means(quality))
        self.n_arms = own.shape[1]
        n_own = 0 if self.n_arms == 1 else self.n_arms
        if self.n_arms == 2 and is_known.all():
            n_own = 1
        self.targets: FloatArray = np.vstack((shared.T, own.T[:n_own]))
        """(R, n), 0 where unknown."""
        self.is_known: BoolArray = np.vstack((is_known.any(axis=1), is_known.T[:n_own]))
        """(R, n)."""

    def departures(self, predicted: FloatArray) -> FloatArray:
        """(m, K) from predictions (R, m) of the targets."""
        shared, own = predicted[:1], predicted[1:]
        if not len(own):
            own = np.zeros((self.n_arms, predicted.shape[1]))
        elif len(own) < self.n_arms:
            own = np.vstack((own, -own))
        return (shared + own).T


def _split(departures: NDArray[Any], means: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n, 1) shared and (n, K) own, over the arms with data."""
    has_data = ~np.isnan(means)
    filled = np.where(has_data, departures, 0.0)
    shared = filled.sum(axis=1, keepdims=True) / max(int(has_data.sum()), 1)
    return shared, np.where(has_data, filled - shared, 0.0)
