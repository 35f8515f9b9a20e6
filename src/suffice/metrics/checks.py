"""What every confidence metric asks of its input, said once.

The rows are answers. A row has a confidence, in [0, 1] and higher where surer, and says how right the answer
was: a truth value, or a graded quality in [0, 1]. Or it has the probabilities of K classes and a label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_SUM_TOLERANCE = 1e-3
"""Half-precision softmax rows sum to 1 within about this much."""


class BadScores(DataError, ValueError):
    """A DataError which users of NumPy can catch as the ValueError that they expect."""


def top_label(probs: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """A classifier's confidence in its first choice, and whether that is right.

    Parameters
    ----------
    probs : shape (n, K), K from 2, rows sum to 1
    labels : shape (n,), integers in 0..K-1

    Returns
    -------
    confidence, correct : shape (n,) each; of equal probabilities the first column is the choice

    Examples
    --------
    >>> confidence, correct = top_label([[0.75, 0.25], [0.5, 0.5]], [0, 1])
    >>> confidence.tolist(), correct.tolist()
    ([0.75, 0.5], [1.0, 0.0])
    """
    table, classes = classified(probs, labels)
    return table.max(axis=1), (table.argmax(axis=1) == classes).astype(np.float64)


def paired(
    confidence: ArrayLike, correct: ArrayLike, *, binary: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Confidence and correctness as arrays, shape (n,) each, n from 1; those of the top label for (n, K).

    Raises
    ------
    BadScores
        If lengths differ, there is no row, a value is missing or outside [0, 1], or, where `binary`,
        a correctness is neither 0 nor 1.
    """
    sure = _numbers(confidence, "confidence")
    if sure.ndim == 2:
        return top_label(sure, correct)
    right = _numbers(correct, "correct")
    _same_length(sure, "confidence", right, "correct")
    _in_unit_interval(sure, "confidence")
    _in_unit_interval(right, "correct")
    graded = (right != 0) & (right != 1) if binary else np.zeros(1, dtype=bool)
    if graded.any():
        row = int(graded.argmax())
        raise BadScores(
            f"correct is {right[row]:g} in row {row}: this metric needs right or wrong; "
            "pass quality >= a threshold of your choice"
        )
    return sure, right


def classified(probs: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Probabilities, shape (n, K), and labels, shape (n,), or BadScores."""
    table, given = _numbers(probs, "probs"), _numbers(labels, "labels")
    if table.ndim != 2 or table.shape[1] < 2:
        raise BadScores(f"probs have shape {table.shape}, expected (n, K) with K from 2")
    _same_length(table[:, 0], "probs", given, "labels")
    _in_unit_interval(table, "probs")
    off = np.abs(table.sum(axis=1) - 1)
    if off.max() > _SUM_TOLERANCE:
        row = int(off.argmax())
        raise BadScores(
            f"probs sum to {table[row].sum():g} in row {row}, expected 1: pass probabilities, not logits"
        )
    wrong = ~np.isin(given, np.arange(table.shape[1]))
    if wrong.any():
        row = int(wrong.argmax())
        raise BadScores(f"label is {given[row]:g} in row {row}, expected a column, 0 to {table.shape[1] - 1}")
    return table, given.astype(np.intp)


def share(value: float, name: str, *, above_zero: bool = False) -> float:
    """An argument that is a share, or BadScores."""
    if not (0 < value <= 1 if above_zero else 0 <= value <= 1):
        raise BadScores(
            f"{name} is {value}, expected a share in {'(0' if above_zero else '[0'}, 1]: 0.9 is 90 %"
        )
    return float(value)


def _numbers(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadScores(f"{name} cannot be read as numbers ({error}): pass an array of numbers") from error


def _same_length(one: FloatArray, name: str, other: FloatArray, other_name: str) -> None:
    if one.ndim != 1 or other.ndim != 1 or len(one) != len(other):
        raise BadScores(
            f"{name} has shape {one.shape} and {other_name} {other.shape}: expected a number per answer"
        )
    if not len(one):
        raise BadScores(f"{name} and {other_name} are empty: at least one answer is needed")


def _in_unit_interval(values: FloatArray, name: str) -> None:
    bad = ~((values >= 0) & (values <= 1))  # NaN is neither
    if not bad.any():
        return
    row = int(np.argwhere(bad)[0, 0])
    value = values[bad].flat[0]
    remedy = "drop rows without a value, NaN is not 0" if np.isnan(value) else "rescale or calibrate first"
    raise BadScores(f"{name} is {value:g} in row {row} ({bad.sum()} such), expected [0, 1]: {remedy}")
