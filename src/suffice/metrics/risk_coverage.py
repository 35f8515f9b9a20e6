"""Selective answering: how good the answers are that are kept when only the surest are.

Coverage is the share of answers kept, risk their mean error (1 - correctness). Answers of equal confidence
have no order: what is kept of them has their mean error, which is the mean over all their orders.

All take `confidence`, shape (n,), in [0, 1] (only its order matters), and `correct`, shape (n,), right or
wrong or a quality in [0, 1]; of probabilities, shape (n, K), and labels the top label is taken.

References
----------
El-Yaniv & Wiener (2010), On the foundations of noise-free selective classification.
Geifman, Uziel & El-Yaniv (2019), Bias-reduced uncertainty estimation: AURC, E-AURC.
Malinin & Gales (2021), Uncertainty estimation in autoregressive structured prediction: rejection ratio.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.checks import paired, share
from suffice.metrics.ranking import tied

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-9
"""0.29 * 100 is a little under 29."""


class RiskCoverageCurve(NamedTuple):
    """What each threshold on confidence keeps, highest first; all arrays have shape (n distinct,)."""

    threshold: FloatArray
    """Kept are answers at least this sure."""
    coverage: FloatArray
    """Ends at 1."""
    risk: FloatArray
    """Mean error of the kept."""


def risk_coverage_curve(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverageCurve:
    """Coverage and risk of every threshold that makes a difference.

    Examples
    --------
    >>> curve = risk_coverage_curve([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0])
    >>> curve.threshold.tolist(), curve.coverage.tolist(), curve.risk.round(3).tolist()
    ([0.9, 0.5, 0.1], [0.25, 0.75, 1.0], [0.0, 0.333, 0.5])
    """
    ties = tied(*paired(confidence, correct))
    kept = np.cumsum(ties.counts)
    return RiskCoverageCurve(ties.confidence, kept / kept[-1], 1 - np.cumsum(ties.right) / kept)


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean over k = 1..n of the risk of the k surest.

    Returns
    -------
    float, in [0, 1]; lower is better; the error rate if confidence is constant

    Raises
    ------
    BadScores
        If lengths differ, there is no row, or a value is missing or outside [0, 1].

    Examples
    --------
    >>> aurc([0.9, 0.1], [1, 0])
    0.25
    """
    return float(1 - _accuracies(*paired(confidence, correct)).mean())


def auarc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the accuracy-rejection curve, 1 - AURC: higher is better.

    References
    ----------
    Nadeem et al. (2009), Accuracy-rejection curves for comparing classifiers with a reject option.

    Examples
    --------
    >>> auarc([0.9, 0.1], [1, 0])
    0.75
    """
    return float(_accuracies(*paired(confidence, correct)).mean())


def excess_aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """AURC less that of the best order there is, right answers first.

    The best order's area is summed exactly; Geifman's e + (1 - e) ln(1 - e) is its limit for large n.

    Returns
    -------
    float, in [0, 1); 0 is a perfect order

    Examples
    --------
    >>> excess_aurc([0.9, 0.1], [1, 0]), excess_aurc([0.1, 0.9], [1, 0])
    (0.0, 0.5)
    """
    sure, right = paired(confidence, correct)
    return float((_best_accuracies(right) - _accuracies(sure, right)).mean())


def prediction_rejection_ratio(
    confidence: ArrayLike, correct: ArrayLike, max_rejection: float = 1.0
) -> float:
    """PRR: what rejecting the least sure gains, as a share of what rejecting the worst would gain.

    (area - accuracy) / (best area - accuracy): areas are means of the accuracy of the kept, over 0 to
    floor(max_rejection n) - 1 rejected answers, as in LM-Polygraph. Its random baseline is drawn; here it is
    its expectation, the accuracy.

    Parameters
    ----------
    max_rejection : in (0, 1]; 0.5 looks at the first half of rejections only

    Returns
    -------
    float, at most 1; 0 is chance, below 0 is worse; NaN where no order is better than another (all the same
    correctness), or fewer than two sizes are looked at

    Raises
    ------
    BadScores
        As `aurc`, or if max_rejection leaves (0, 1].

    References
    ----------
    Malinin & Gales (2021), section 5; Fadeeva et al. (2023), LM-Polygraph.

    Examples
    --------
    >>> round(prediction_rejection_ratio([0.9, 0.5, 0.1], [1, 0, 1]), 12)
    0.25
    >>> prediction_rejection_ratio([0.5, 0.5], [1, 0])
    0.0
    """
    sure, right = paired(confidence, correct)
    n_rejected = math.floor(share(max_rejection, "max_rejection", above_zero=True) * len(sure) + _TOLERANCE)
    if n_rejected < 2 or right.min() == right.max():
        return math.nan
    gained = _accuracies(sure, right)[-n_rejected:].mean() - right.mean()
    possible = _best_accuracies(right)[-n_rejected:].mean() - right.mean()
    return float(gained / possible)


def accuracy_at_coverage(confidence: ArrayLike, correct: ArrayLike, coverage: float) -> float:
    """Accuracy of the ceil(coverage n) surest answers.

    Parameters
    ----------
    coverage : in [0, 1]

    Returns
    -------
    float, in [0, 1]; NaN at coverage 0, where nothing is kept

    Examples
    --------
    >>> accuracy_at_coverage([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], coverage=0.5)
    0.75
    """
    sure, right = paired(confidence, correct)
    n_kept = math.ceil(share(coverage, "coverage") * len(sure) - _TOLERANCE)
    return float(_accuracies(sure, right)[n_kept - 1]) if n_kept else math.nan


def coverage_at_accuracy(confidence: ArrayLike, correct: ArrayLike, accuracy: float) -> float:
    """The largest share of answers that a threshold on confidence keeps at this accuracy or better.

    Thresholds do not cut through equal confidences. Chosen on the same answers, it promises nothing for
    others.

    Parameters
    ----------
    accuracy : in [0, 1]

    Returns
    -------
    float, in [0, 1]; 0 where no threshold gets there

    Examples
    --------
    >>> coverage_at_accuracy([0.9, 0.5, 0.5, 0.1], [1, 1, 1, 0], accuracy=0.9)
    0.75
    """
    target = share(accuracy, "accuracy")
    curve = risk_coverage_curve(confidence, correct)
    reached = curve.coverage[1 - curve.risk >= target - _TOLERANCE]
    return float(reached[-1]) if len(reached) else 0.0


def _accuracies(sure: FloatArray, right: FloatArray) -> FloatArray:
    """(n,): mean correctness of the k surest, k = 1..n, over all orders of ties."""
    ties = tied(sure, right)
    ranks = np.arange(1, len(sure) + 1)
    if len(ties.counts) == len(sure):
        return np.asarray(np.cumsum(ties.right) / ranks)
    ends = np.cumsum(ties.counts)
    to_come = np.repeat(ends, ties.counts) - ranks  # of the tie, after the k-th
    reached = np.repeat(np.cumsum(ties.right), ties.counts) - to_come * np.repeat(
        ties.right / ties.counts, ties.counts
    )
    return np.asarray(reached / ranks)


def _best_accuracies(right: FloatArray) -> FloatArray:
    """(n,): the same for the order of correctness itself."""
    return np.asarray(np.cumsum(-np.sort(-right)) / np.arange(1, len(right) + 1))
