"""Proper score of a confidence by squared distance, and what it is made of.

References
----------
Brier (1950), Verification of forecasts expressed in terms of probability.
Murphy (1973), A new vector partition of the probability score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from suffice.metrics.checks import classified, paired
from suffice.metrics.reliability import Binning, Closed, binned


class BrierDecomposition(NamedTuple):
    """Brier score = reliability - resolution + uncertainty, of confidences set to the mean of their bins."""

    reliability: float
    """Mean squared gap between confidence and accuracy of a bin; 0 is calibrated."""
    resolution: float
    """Variance of accuracy between bins; higher separates better."""
    uncertainty: float
    """Variance of correctness, a(1 - a) where it is 0 or 1: no confidence changes it."""

    @property
    def brier_score(self) -> float:
        """Of the binned confidences."""
        return self.reliability - self.resolution + self.uncertainty


def brier_score(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared distance between confidence and correctness.

    Parameters
    ----------
    confidence : shape (n,), in [0, 1]; or (n, K), the probabilities of K classes
    correct : shape (n,), right or wrong, or a quality in [0, 1]; with (n, K), labels

    Returns
    -------
    float, in [0, 1]; 0 is perfect. With (n, K) summed over classes, as Brier did: in [0, 2]

    Raises
    ------
    BadScores
        If lengths differ, there is no row, or a value is missing or outside [0, 1].

    Examples
    --------
    >>> brier_score([1.0, 0.5], [1, 0])
    0.125
    >>> brier_score([[1.0, 0.0], [0.5, 0.5]], [0, 1])
    0.25
    """
    if np.ndim(confidence) == 2:
        probs, labels = classified(confidence, correct)
        return float(((probs - np.eye(probs.shape[1])[labels]) ** 2).sum(axis=1).mean())
    sure, right = paired(confidence, correct)
    return float(((sure - right) ** 2).mean())


def brier_decomposition(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> BrierDecomposition:
    """Reliability, resolution and uncertainty, by bins.

    The three make up the Brier score of confidences that are replaced by the mean of their bin; the Brier
    score itself differs by what varies inside bins, and by nothing where a bin holds one value.

    Parameters
    ----------
    As `reliability_curve`; of (n, K) the top label is taken.

    Examples
    --------
    >>> parts = brier_decomposition([0.25, 0.25, 1.0, 1.0], [0, 1, 1, 1])
    >>> parts
    BrierDecomposition(reliability=0.03125, resolution=0.0625, uncertainty=0.1875)
    >>> parts.brier_score == brier_score([0.25, 0.25, 1.0, 1.0], [0, 1, 1, 1])
    True
    """
    sure, right = paired(confidence, correct)
    bins = binned(sure, right, n_bins, binning, closed)
    return BrierDecomposition(
        reliability=float(bins.shares @ bins.gaps**2),
        resolution=float(bins.shares @ (bins.accuracy - right.mean()) ** 2),
        uncertainty=float(right.var()),
    )
