"""How well confidence tells right answers from wrong ones; only its order matters.

Equal confidences are one step: no result depends on the order of rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.checks import paired

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class Ties(NamedTuple):
    """Answers of equal confidence, surest first; all arrays have shape (m,)."""

    confidence: FloatArray
    counts: IntArray
    right: FloatArray
    """Sum of correctness."""


def tied(sure: FloatArray, right: FloatArray) -> Ties:
    """Checked arrays, shape (n,), by distinct confidence."""
    order = np.argsort(-sure)
    ranked = sure[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1])
    counts = np.diff(starts, append=len(ranked))
    return Ties(ranked[starts], counts, np.add.reduceat(right[order], starts))


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Chance that a right answer is surer than a wrong one; equal confidence counts one half.

    Parameters
    ----------
    confidence : shape (n,), in [0, 1]; of (n, K) the top label is taken
    correct : shape (n,), right or wrong, nothing between

    Returns
    -------
    float, in [0, 1]; 0.5 knows nothing; NaN if all are right or all wrong, where there is no such pair

    Raises
    ------
    BadScores
        If lengths differ, there is no row, a value is missing or outside [0, 1], or a correctness lies
        between 0 and 1.

    References
    ----------
    Hanley & McNeil (1982), The meaning and use of the area under a ROC curve.

    Examples
    --------
    >>> auroc([0.9, 0.5, 0.5], [1, 1, 0])
    0.75
    """
    ties = tied(*paired(confidence, correct, binary=True))
    wrong = ties.counts - ties.right
    n_pairs = float(ties.right.sum() * wrong.sum())
    if not n_pairs:
        return math.nan
    less_sure = wrong.sum() - np.cumsum(wrong)
    return float(ties.right @ (less_sure + wrong / 2)) / n_pairs


def auprc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Average precision: the accuracy above each distinct confidence, weighed by the right answers at it.

    The sum of (R_k - R_{k-1}) P_k, as in scikit-learn; no line is drawn between the points.

    Parameters, errors: as `auroc`. For wrong answers as the positive class, pass 1 - confidence, 1 - correct.

    Returns
    -------
    float, in (0, 1]; the accuracy if confidence is constant; NaN if all are wrong

    References
    ----------
    Davis & Goadrich (2006), The relationship between precision-recall and ROC curves.

    Examples
    --------
    >>> auprc([0.9, 0.5, 0.5], [1, 1, 0])
    0.8333333333333333
    """
    ties = tied(*paired(confidence, correct, binary=True))
    n_right = ties.right.sum()
    if not n_right:
        return math.nan
    precision = np.cumsum(ties.right) / np.cumsum(ties.counts)
    return float(ties.right @ precision / n_right)
