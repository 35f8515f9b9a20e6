"""How much to believe: a setting and a slope, from predictions of what was held out.

Residuals from the arms' means are split into what the arms share and what tells them apart. Of each
part the setting of the highest correlation between held-out predictions and truth is taken, and the
slope that scales predictions to the least squared error (Copas, 1983, Regression, Prediction and
Shrinkage). Where predictions say nothing the slope is 0 and every arm keeps its mean.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import BoolArray, FloatArray

_MAX_SLOPE: Final = 2.0


class HeldOut:
    """Sums over held-out predictions p and targets t, for each of several settings and targets."""

    def __init__(self, n_settings: int, n_targets: int) -> None:
        self.products = np.zeros((n_settings, n_targets))
        """Of p t."""
        self.squares = np.zeros((n_settings, n_targets))
        """Of p^2."""

    def add(self, setting: int, predicted: NDArray[Any], targets: NDArray[Any]) -> None:
        """Predictions (R, n) of one setting for targets (R, n); both 0 where the truth is unknown."""
        self.products[setting] += np.einsum("rn,rn->r", predicted, targets, dtype=np.float64)
        self.squares[setting] += np.einsum("rn,rn->r", predicted, predicted, dtype=np.float64)

    def best(self, targets: slice) -> int:
        """The setting of the highest correlation, for these targets together; of equals the first."""
        products, squares = self._of(targets)
        return int((products / np.sqrt(np.maximum(squares, 1e-12))).argmax())

    def slope(self, setting: int, targets: slice) -> float:
        """What predictions of a setting are best multiplied by, in [0, 2]; 0 without any evidence."""
        products, squares = self._of(targets)
        if squares[setting] <= 0:
            return 0.0
        return float(np.clip(products[setting] / squares[setting], 0.0, _MAX_SLOPE))

    def _of(self, targets: slice) -> tuple[FloatArray, FloatArray]:
        return self.products[:, targets].sum(axis=1), self.squares[:, targets].sum(axis=1)


def shared_and_own(residuals: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """What the arms share, (n, 1), each arm's deviation from it, (n, K), and where they are known.

    The shared part is the mean over known arms. Unknown residuals (NaN) count 0.
    """
    is_known = ~np.isnan(residuals)
    filled = np.where(is_known, residuals, 0.0)
    shared = filled.sum(axis=1, keepdims=True) / np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    return shared, np.where(is_known, filled - shared, 0.0), is_known
