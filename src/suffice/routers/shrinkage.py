"""How much to believe: a setting and a slope, from predictions of what was held out.

Residuals from the arms' means are split into what the arms share and what tells them apart. Of each
part the setting of the highest correlation between held-out predictions and truth is taken, and the
slope that scales predictions to the least squared error (Copas, 1983, Regression, Prediction and
Shrinkage), itself shrunk by what chance alone would give (the positive part of James and Stein, 1961).
Where predictions say nothing the slope is 0 and every arm keeps its mean.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import BoolArray, FloatArray

_MAX_SLOPE: Final = 10.0


class HeldOut:
    """Sums over held-out predictions p and targets t, for each of several settings and targets."""

    def __init__(self, n_settings: int, n_targets: int) -> None:
        self.products = np.zeros((n_settings, n_targets))
        """Of p t."""
        self.squares = np.zeros((n_settings, n_targets))
        """Of p^2."""
        self.truths = np.zeros((n_settings, n_targets))
        """Of t^2."""
        self.n_rows = np.zeros(n_settings)

    def add(self, setting: int, predicted: NDArray[Any], targets: NDArray[Any]) -> None:
        """Predictions (R, n) of one setting for targets (R, n); both 0 where the truth is unknown."""
        self.products[setting] += np.einsum("rn,rn->r", predicted, targets, dtype=np.float64)
        self.squares[setting] += np.einsum("rn,rn->r", predicted, predicted, dtype=np.float64)
        self.truths[setting] += np.einsum("rn,rn->r", targets, targets, dtype=np.float64)
        self.n_rows[setting] += predicted.shape[1]

    def best(self, targets: slice) -> int:
        """The setting of the highest correlation, for these targets together; of equals the first."""
        products, squares = (sums[:, targets].sum(axis=1) for sums in (self.products, self.squares))
        return int((products / np.sqrt(np.maximum(squares, 1e-12))).argmax())

    def slope(self, setting: int, targets: slice) -> float:
        """What predictions of a setting are best multiplied by, in [0, 10]; 0 without any evidence.

        With r the correlation over n rows, t^2 = n r^2 / (1 - r^2) is about 1 by chance alone, so that
        the slope of least squared error is taken (1 - 1 / t^2) times.
        """
        sums = (self.products, self.squares, self.truths)
        product, square, truth = (float(one[setting, targets].sum()) for one in sums)
        if product <= 0 or square <= 0:
            return 0.0
        unexplained = max(square * truth - product**2, 0.0)
        believed = max(1 - unexplained / (float(self.n_rows[setting]) * product**2), 0.0)
        return min(product / square * believed, _MAX_SLOPE)


def shared_and_own(residuals: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """What the arms share, (n, 1), each arm's deviation from it, (n, K), and where they are known.

    The shared part is the mean over known arms. Unknown residuals (NaN) count 0.
    """
    is_known = ~np.isnan(residuals)
    filled = np.where(is_known, residuals, 0.0)
    shared = filled.sum(axis=1, keepdims=True) / np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    return shared, np.where(is_known, filled - shared, 0.0), is_known
