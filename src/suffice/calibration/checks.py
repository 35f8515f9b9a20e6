"""What calibrators and guarantees ask of their input, and the logit they share."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError

FloatArray = NDArray[np.float64]

EPS: Final = float(np.finfo(np.float64).eps)
"""Confidences are held this far from 0 and 1 before a logarithm is taken."""


def numbers(values: ArrayLike, name: str, *, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """(n,) float64, every value finite and in [low, high].

    Raises
    ------
    DataError
        If not; says which row.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds something that is no number ({error}): give floats") from None
    if found.ndim != 1:
        raise DataError(f"{name} has shape {found.shape}: expected one value per row, shape (n,)")
    is_bad = ~((found >= low) & (found <= high))  # NaN is bad as well
    if is_bad.any():
        row = int(np.argmax(is_bad))
        remedy = (
            "leave rows without a value out" if np.isnan(found[row]) else f"map it to [{low:g}, {high:g}]"
        )
        raise DataError(
            f"{name}[{row}] is {found[row]:g}: expected a number in [{low:g}, {high:g}]; {remedy}"
        )
    return found


def rows(confidence: ArrayLike, correct: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both (n,), n >= 1: confidences in [0, 1], and 1 where the answer was right, else 0.

    Raises
    ------
    DataError
        If the lengths differ, there is no row, or a value does not fit.
    """
    sure, right = numbers(confidence, "confidence"), numbers(correct, "correct")
    same_length(confidence=sure, correct=right)
    is_graded = (right != 0) & (right != 1)
    if is_graded.any():
        row = int(np.argmax(is_graded))
        raise DataError(
            f"correct[{row}] is {right[row]:g}: expected true or false (1 or 0); cut graded quality first"
        )
    return sure, right


def same_length(**columns: NDArray[Any]) -> int:
    """How many rows they all have.

    Raises
    ------
    DataError
        If they differ or there is none.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        said = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"the columns differ in length ({said}): give one value of each per row")
    n = next(iter(lengths.values()))
    if not n:
        raise DataError("there are 0 rows: at least one is needed")
    return n


def logit(confidence: FloatArray) -> FloatArray:
    """ln(c / (1 - c)), with 0 and 1 held off by EPS."""
    held = np.clip(confidence, EPS, 1 - EPS)
    found: FloatArray = np.log(held) - np.log1p(-held)
    return found


def sigmoid(values: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(values))
    found: FloatArray = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return found


def log_loss(probability: FloatArray, correct: FloatArray) -> float:
    """Mean negative log-likelihood in nats; probabilities are held off 0 and 1 by EPS."""
    held = np.clip(probability, EPS, 1 - EPS)
    return float(-np.mean(correct * np.log(held) + (1 - correct) * np.log1p(-held)))
