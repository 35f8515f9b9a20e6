"""How much to believe: a setting and a slope, from predictions of what was held out.

Residuals from the arms' means are split into what the arms share and what tells them apart. Of each
part the setting of the highest correlation between held-out predictions and truth is taken, and the
slope that scales predictions to the least squared error (Copas, 1983, Regression, Prediction and
Shrinkage), itself shrunk by what chance alone would give (the positive part of James and Stein, 1961).
Where predictions say nothing the slope is 0 and every arm keeps its mean.

Of what tells arms apart most is noise: that one arm is right here and another wrong repeats along few
directions only, such as "good at code, bad at sums". So arms' own parts are turned to the directions in
which they vary, and each has a slope of its own (the curds and whey of Breiman and Friedman, 1997,
section 3, with principal in place of canonical directions). It keeps a router of many arms from choosing
the arm that it overrates most.
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
        self.products = np.zeros((n_settings, n_targets, n_targets))
        """Of p t'."""
        self.squares = np.zeros((n_settings, n_targets, n_targets))
        """Of p p'."""
        self.truths = np.zeros((n_settings, n_targets, n_targets))
        """Of t t'."""
        self.n_rows = np.zeros(n_settings)

    def add(self, setting: int, predicted: NDArray[Any], targets: NDArray[Any]) -> None:
        """Predictions (R, n) of one setting for targets (R, n); both 0 where the truth is unknown."""
        p, t = (np.asarray(rows, np.float64) for rows in (predicted, targets))
        self.products[setting] += p @ t.T
        self.squares[setting] += p @ p.T
        self.truths[setting] += t @ t.T
        self.n_rows[setting] += predicted.shape[1]

    def best(self, targets: slice) -> int:
        """The setting of the highest correlation, for these targets together; of equals the first."""
        products, squares = (_traces(sums, targets) for sums in (self.products, self.squares))
        return int((products / np.sqrt(np.maximum(squares, 1e-12))).argmax())

    def slope(self, setting: int, targets: slice) -> float:
        """What predictions of a setting are best multiplied by, in [0, 10]; 0 without any evidence.

        With r the correlation over n rows, t^2 = n r^2 / (1 - r^2) is about 1 by chance alone, so that
        the slope of least squared error is taken (1 - 1 / t^2) times.
        """
        sums = (self.products, self.squares, self.truths)
        product, square, truth = (float(_traces(one[setting], targets)) for one in sums)
        return _slope(product, square, truth, float(self.n_rows[setting]))

    def mixing(self, setting: int, targets: slice) -> FloatArray:
        """What predictions (n, R) of a setting are best multiplied by, if directions may differ: (R, R).

        Symmetric, with the principal directions of the targets as eigenvectors and their slopes, at most
        the common one, as eigenvalues.
        """
        products, squares, truths = (
            sums[setting][targets, targets] for sums in (self.products, self.squares, self.truths)
        )
        _, directions = np.linalg.eigh(truths)
        n = float(self.n_rows[setting])
        most = self.slope(setting, targets)
        p, s, t = (
            np.einsum("rd,rs,sd->d", directions, sums, directions) for sums in (products, squares, truths)
        )
        slopes = [min(_slope(sums[0], sums[1], sums[2], n), most) for sums in zip(p, s, t, strict=True)]
        return np.asarray((directions * slopes) @ directions.T)


def _traces(sums: FloatArray, targets: slice) -> FloatArray:
    """Sums of the diagonals, over these targets, of the last two axes."""
    return np.asarray(np.einsum("...rr->...r", sums)[..., targets].sum(axis=-1))


def _slope(product: float, square: float, truth: float, n_rows: float) -> float:
    if product <= 0 or square <= 0:
        return 0.0
    unexplained = max(square * truth - product**2, 0.0)
    believed = max(1 - unexplained / (n_rows * product**2), 0.0)
    return min(product / square * believed, _MAX_SLOPE)


def shared_and_own(residuals: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """What the arms share, (n, 1), each arm's deviation from it, (n, K), and where they are known.

    The shared part is the mean over known arms. Unknown residuals (NaN) count 0.
    """
    is_known = ~np.isnan(residuals)
    filled = np.where(is_known, residuals, 0.0)
    shared = filled.sum(axis=1, keepdims=True) / np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    return shared, np.where(is_known, filled - shared, 0.0), is_known
