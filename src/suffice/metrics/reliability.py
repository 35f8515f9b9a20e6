"""Bins of confidence: what was claimed and what was true in each.

Bins are right-closed, `(l, u]`, and 0 joins the first (Guo et al. 2017). The bin of a confidence is computed
as an integer; comparing with `linspace` edges puts values such as 0.6 into the wrong bin.

Equal-mass bins lie between linear quantiles of the confidences (as those of scikit-learn and pandas). Equal
confidences stay together, so that the order of rows never matters; with many ties bins may be empty.

References
----------
Guo et al. (2017), On Calibration of Modern Neural Networks, section 2.
Nguyen & O'Connor (2015), Posterior Calibration and Exploratory Analysis: equal-mass bins.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.checks import BadScores, paired

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Binning = Literal["uniform", "mass"]
Closed = Literal["right", "left"]

_TOLERANCE = 1e-12
"""A product such as 0.7 * 10 misses the edge by about 1e-15."""


class ReliabilityCurve(NamedTuple):
    """The bins that hold an answer, by ascending confidence; all arrays have shape (m,), m <= n_bins."""

    confidence: FloatArray
    """Mean confidence."""
    accuracy: FloatArray
    """Mean correctness."""
    counts: IntArray
    """Number of answers; their sum is n."""
    lower: FloatArray
    upper: FloatArray
    """The bin's edges."""


class Bins(NamedTuple):
    """Means of the bins that hold an answer; all arrays have shape (m,)."""

    numbers: IntArray
    """From 0, of all bins."""
    counts: IntArray
    confidence: FloatArray
    accuracy: FloatArray
    variance: FloatArray
    """Of correctness inside the bin, divided by n_b: a(1 - a) where it is 0 or 1."""

    @property
    def gaps(self) -> FloatArray:
        return np.abs(self.accuracy - self.confidence)

    @property
    def shares(self) -> FloatArray:
        """Of all answers; sum to 1."""
        return np.asarray(self.counts / self.counts.sum())


def reliability_curve(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> ReliabilityCurve:
    """Accuracy beside confidence, bin by bin: the reliability diagram.

    Parameters
    ----------
    confidence : shape (n,), in [0, 1]; or (n, K), the probabilities of K classes
    correct : shape (n,), right or wrong, or a quality in [0, 1]; with (n, K), labels
    n_bins : at least 1
    binning : "uniform" for equal widths, "mass" for equal counts
    closed : the side of the edge that belongs to a bin; "left" puts 1 into the last

    Raises
    ------
    BadScores
        If lengths differ, there is no row, or a value is missing or outside [0, 1].

    Examples
    --------
    >>> curve = reliability_curve([0.1, 0.9, 0.7, 1.0], [0, 1, 0, 1], n_bins=2)
    >>> curve.counts.tolist(), curve.accuracy.round(3).tolist(), curve.upper.tolist()
    ([1, 3], [0.0, 0.667], [0.5, 1.0])
    """
    sure, right = paired(confidence, correct)
    bins = binned(sure, right, n_bins, binning, closed)
    edges = np.arange(n_bins + 1) / n_bins
    if binning == "mass":
        edges = np.concatenate([[0.0], np.quantile(sure, edges[1:-1]), [1.0]])
    return ReliabilityCurve(
        bins.confidence, bins.accuracy, bins.counts, edges[bins.numbers], edges[bins.numbers + 1]
    )


def binned(sure: FloatArray, right: FloatArray, n_bins: int, binning: Binning, closed: Closed) -> Bins:
    """The bins of checked arrays."""
    if n_bins < 1 or n_bins != int(n_bins):
        raise BadScores(f"n_bins is {n_bins}, expected a whole number from 1")
    if binning not in ("uniform", "mass") or closed not in ("right", "left"):
        raise BadScores(f"binning {binning!r}, closed {closed!r}: expected uniform or mass, right or left")
    n_bins = int(n_bins)
    number = (_uniform if binning == "uniform" else _mass)(sure, n_bins, closed)
    count = np.bincount(number, minlength=n_bins)
    held = np.flatnonzero(count)
    counts = count[held]
    accuracy = np.bincount(number, right, n_bins)[held] / counts
    squares = np.bincount(number, right * right, n_bins)[held] / counts
    variance = np.maximum(squares - accuracy**2, 0.0)
    return Bins(held, counts, np.bincount(number, sure, n_bins)[held] / counts, accuracy, variance)


def _uniform(sure: FloatArray, n_bins: int, closed: Closed) -> IntArray:
    if closed == "right":
        return np.maximum(np.ceil(sure * n_bins - _TOLERANCE).astype(np.intp) - 1, 0)
    return np.minimum(np.floor(sure * n_bins + _TOLERANCE).astype(np.intp), n_bins - 1)


def _mass(sure: FloatArray, n_bins: int, closed: Closed) -> IntArray:
    """The k-th edge is the quantile at position k (n - 1) / n_bins of the sorted confidences, from 0.

    No confidence lies between that position's two neighbours, so that the lower one is as good an edge for
    right-closed bins and the upper one for left-closed bins: nothing is interpolated, nothing rounded.
    """
    ordered = np.sort(sure)
    position = np.arange(1, n_bins) * (len(sure) - 1)
    if closed == "right":
        return np.searchsorted(ordered[position // n_bins], sure, side="left")
    return np.searchsorted(ordered[-(-position // n_bins)], sure, side="right")
