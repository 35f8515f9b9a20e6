"""Ridge regressions of many targets on the same features, in and out of fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suffice.types import FloatArray, IntArray


class Linear(NamedTuple):
    """features -> (features - center) / scale @ weights + offset."""

    center: FloatArray
    scale: FloatArray
    weights: FloatArray
    """(d, m)."""
    offset: FloatArray
    """(m,)."""

    def __call__(self, features: FloatArray) -> FloatArray:
        """(n, m)."""
        return np.asarray((features - self.center) / self.scale @ self.weights + self.offset)


class Ridges:
    """Factorised once; every further target costs a product.

    Features are standardised; `penalty` is added to the sums of squares.
    """

    def __init__(self, features: FloatArray, folds: IntArray, penalty: float) -> None:
        """
        Parameters
        ----------
        features : shape (n, d)
        folds : shape (n,)
            Of each row, from 0.
        """
        self._features, self._folds = features, folds
        self._whole = _Factor(features, penalty)
        self._parts = [
            (folds == fold, _Factor(features[folds != fold], penalty)) for fold in range(int(folds.max()) + 1)
        ]

    def out_of_fold(self, targets: FloatArray) -> FloatArray:
        """(n, m): every row by the regression that did not see it."""
        found = np.empty(targets.shape)
        for held, factor in self._parts:
            found[held] = factor.solve(targets[~held])(self._features[held])
        return found

    def solve(self, targets: FloatArray) -> Linear:
        """On all rows."""
        return self._whole.solve(targets)


class _Factor:
    def __init__(self, features: FloatArray, penalty: float) -> None:
        self.center = features.mean(axis=0)
        scale = features.std(axis=0)
        self.scale = np.where(scale > 1e-9, scale, 1.0)
        self._rows = (features - self.center) / self.scale
        inside = self._rows.T @ self._rows + penalty * np.eye(features.shape[1])
        self._inverse: NDArray[np.float64] = np.linalg.inv(inside)

    def solve(self, targets: FloatArray) -> Linear:
        offset = targets.mean(axis=0)
        weights = self._inverse @ (self._rows.T @ (targets - offset))
        return Linear(self.center, self.scale, weights, offset)
