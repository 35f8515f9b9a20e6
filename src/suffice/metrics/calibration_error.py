"""Calibration errors: how far confidence lies from accuracy, summed up over bins.

All take `confidence`, shape (n,), in [0, 1], and `correct`, shape (n,), right or wrong or a quality in
[0, 1]; or the probabilities of K classes, shape (n, K), and labels, and then look at the top label. Bins are
those of `reliability`. Say the number of bins with every figure: it changes the figure.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.checks import BadScores, classified, paired
from suffice.metrics.reliability import Binning, Bins, Closed, binned

FloatArray = NDArray[np.float64]


def expected_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> float:
    """ECE: mean gap between confidence and accuracy, bins weighed by their answers.

    Parameters
    ----------
    confidence : shape (n,) in [0, 1], or (n, K)
    correct : shape (n,); labels with (n, K)
    n_bins : at least 1; an empty bin adds nothing
    binning : "uniform" for equal widths, "mass" for equal counts
    closed : "right" for bins (l, u], "left" for [l, u)

    Returns
    -------
    float, in [0, 1]; 0 is perfect. Biased upwards where bins hold few answers: `debiased_calibration_error`.

    Raises
    ------
    BadScores
        If lengths differ, there is no row, or a value is missing or outside [0, 1].

    References
    ----------
    Guo et al. (2017), On Calibration of Modern Neural Networks, section 2.

    Examples
    --------
    >>> expected_calibration_error([0.75, 0.75], [True, False])
    0.25
    """
    bins = _bins(confidence, correct, n_bins, binning, closed)
    return float(bins.shares @ bins.gaps)


def average_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> float:
    """ACE: mean gap over the bins that hold an answer, all weighing the same.

    Parameters, errors, range: as `expected_calibration_error`.

    References
    ----------
    Neumann et al. (2018), Relaxed Softmax. Nixon et al. (2019) call it so with `binning="mass"`.

    Examples
    --------
    >>> average_calibration_error([0.25, 0.75, 0.75], [0, 1, 1])
    0.25
    """
    return float(_bins(confidence, correct, n_bins, binning, closed).gaps.mean())


def maximum_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> float:
    """MCE: the largest gap of a bin that holds an answer.

    Parameters, errors, range: as `expected_calibration_error`.

    References
    ----------
    Guo et al. (2017), section 2.

    Examples
    --------
    >>> maximum_calibration_error([0.25, 0.5], [0, 1])
    0.5
    """
    return float(_bins(confidence, correct, n_bins, binning, closed).gaps.max())


def rms_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> float:
    """Root of the mean squared gap, bins weighed by their answers; at least the ECE.

    Parameters, errors, range: as `expected_calibration_error`.

    References
    ----------
    Hendrycks et al. (2019), Deep Anomaly Detection with Outlier Exposure, section 4.

    Examples
    --------
    >>> rms_calibration_error([0.75, 0.75], [True, False])
    0.25
    """
    bins = _bins(confidence, correct, n_bins, binning, closed)
    return math.sqrt(bins.shares @ bins.gaps**2)


def debiased_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
    norm: Literal["l2", "l1"] = "l2",
) -> float:
    """Calibration error less what chance alone puts into bins of finite size.

    With norm "l2", the root of the mean over bins of gap^2 - v_b / (n_b - 1), where v_b = a_b (1 - a_b) is
    the variance of correctness in the bin; a bin of one answer adds nothing. With norm "l1", ECE less its
    bias if accuracies are normal around those seen, of variance v_b / n_b: the mean over bins of
    2 gap - E|gap + noise|. What comes out below 0 counts as 0. The paper's package draws the noise of "l1";
    here it is integrated.

    Parameters
    ----------
    norm : "l2" is the counterpart of `rms_calibration_error`, "l1" that of `expected_calibration_error`

    Other parameters, errors: as `expected_calibration_error`.

    Returns
    -------
    float, in [0, 1]

    References
    ----------
    Kumar, Liang & Ma (2019), Verified Uncertainty Calibration, definition 5.1 and appendix G ("l1").

    Examples
    --------
    >>> debiased_calibration_error([0.75] * 4, [1, 0, 0, 0]), rms_calibration_error([0.75] * 4, [1, 0, 0, 0])
    (0.4330127018922193, 0.5)
    """
    bins = _bins(confidence, correct, n_bins, binning, closed)
    if norm == "l2":
        squared = np.where(
            bins.counts > 1, bins.gaps**2 - bins.variance / np.maximum(bins.counts - 1, 1), 0.0
        )
        return math.sqrt(max(0.0, float(bins.shares @ squared)))
    if norm != "l1":
        raise BadScores(f"norm is {norm!r}, expected 'l2' or 'l1'")
    noisy = _folded_normal_mean(bins.gaps, np.sqrt(bins.variance / bins.counts))
    return max(0.0, float(bins.shares @ (2 * bins.gaps - noisy)))


def classwise_calibration_error(
    probs: ArrayLike,
    labels: ArrayLike,
    n_bins: int = 15,
    binning: Binning = "uniform",
    closed: Closed = "right",
) -> float:
    """Mean over classes of the ECE of each class's own probability.

    Parameters
    ----------
    probs : shape (n, K), rows sum to 1
    labels : shape (n,), integers in 0..K-1

    Other parameters, errors, range: as `expected_calibration_error`.

    References
    ----------
    Kull et al. (2019), Beyond temperature scaling, equation 5.

    Examples
    --------
    >>> classwise_calibration_error([[0.75, 0.25], [0.75, 0.25]], [0, 1])
    0.25
    """
    table, classes = classified(probs, labels)
    errors = [
        expected_calibration_error(column, classes == number, n_bins, binning, closed)
        for number, column in enumerate(table.T)
    ]
    return float(np.mean(errors))


def _bins(confidence: ArrayLike, correct: ArrayLike, n_bins: int, binning: Binning, closed: Closed) -> Bins:
    return binned(*paired(confidence, correct), n_bins, binning, closed)


def _folded_normal_mean(mean: FloatArray, spread: FloatArray) -> FloatArray:
    """E|X| of X normal: s sqrt(2/pi) exp(-m^2 / 2s^2) + m erf(m / s sqrt(2))."""
    safe = np.where(spread > 0, spread, 1.0)
    ratio = mean / safe / math.sqrt(2)
    erf = np.array([math.erf(value) for value in ratio])
    folded = safe * math.sqrt(2 / math.pi) * np.exp(-(ratio**2)) + mean * erf
    return np.where(spread > 0, folded, mean)
