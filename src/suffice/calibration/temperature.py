"""One number that flattens or sharpens.

References
----------
Guo et al. (2017), On Calibration of Modern Neural Networks, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.base import Calibrator, real
from suffice.calibration.checks import FloatArray, logit, sigmoid
from suffice.errors import DataError

LEAST: Final = 0.01
MOST: Final = 100.0
_FLOOR: Final = -700.0
"""A log-probability of -inf counts as this: exp of it is still above 0."""


class Temperature(Calibrator):
    """sigmoid(logit(c) / T), or softmax(log p / T) for (n, K) log-probabilities; T in [0.01, 100].

    The likelihood is concave in 1/T, so the optimum is found to the last digit. Where it lies at infinity
    (all answers above 0.5 are right and all below wrong) T is 0.01, in the opposite case 100.
    """

    name = "temperature"

    def __init__(self) -> None:
        """No parameters."""

    def fit(self, confidence: ArrayLike, correct: ArrayLike) -> Self:
        """Learn T.

        Parameters
        ----------
        confidence : shape (n,), in [0, 1]; or shape (n, K), log-probabilities or logits, K at least 2
        correct : shape (n,), true or false; with (n, K), the index of the true class

        Raises
        ------
        DataError
            If the lengths differ, there is no row, or a value is NaN or out of range.
        """
        if np.ndim(confidence) != 2:
            return super().fit(confidence, correct)
        logs = _log_probabilities(confidence)
        labels = _labels(correct, *logs.shape)
        true = logs[np.arange(len(logs)), labels]

        def slope(inverse: float) -> float:
            return float(np.mean((_softmax(inverse * logs) * logs).sum(axis=1) - true))

        self.temperature_, self.is_fitted_ = _least_loss(slope), True
        return self

    def predict(self, confidence: ArrayLike) -> FloatArray:
        """(n,) for confidences, (n, K) probabilities for log-probabilities."""
        if np.ndim(confidence) != 2:
            return super().predict(confidence)
        self._check_fitted()
        return _softmax(_log_probabilities(confidence) / self.temperature_)

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        z = logit(confidence)

        def slope(inverse: float) -> float:
            return float(np.mean((sigmoid(inverse * z) - correct) * z))

        self.temperature_ = _least_loss(slope)

    def _predict(self, confidence: FloatArray) -> FloatArray:
        return sigmoid(logit(confidence) / self.temperature_)

    def _state(self) -> dict[str, Any]:
        return {"temperature": self.temperature_}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.temperature_ = real(state, "temperature")
        if not LEAST <= self.temperature_ <= MOST:
            raise ValueError(f"the temperature {self.temperature_} is not in [{LEAST:g}, {MOST:g}]")


def _least_loss(slope: Callable[[float], float]) -> float:
    """T where the slope of the loss in 1/T, which only rises, is 0; at the bounds where it never is.

    Flat throughout (every confidence is 0.5): 1.
    """
    low, high = 1 / MOST, 1 / LEAST
    if slope(low) == slope(high) == 0:
        return 1.0
    if slope(high) <= 0:
        return LEAST
    if slope(low) >= 0:
        return MOST
    for _ in range(80):
        middle = np.sqrt(low * high)
        if not low < middle < high:
            break
        low, high = (middle, high) if slope(float(middle)) < 0 else (low, middle)
    return float(2 / (low + high))


def _log_probabilities(values: ArrayLike) -> FloatArray:
    try:
        logs = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"log-probabilities hold something that is no number ({error})") from None
    n, k = logs.shape
    if not n or k < 2:
        raise DataError(f"log-probabilities have shape {logs.shape}: at least 1 row and 2 classes are needed")
    highest = logs.max(axis=1)
    is_bad = ~np.isfinite(highest)  # NaN and +inf show in the maximum, and so does a row of -inf alone
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise DataError(f"log-probabilities[{row}] is {logs[row].tolist()}: finite numbers are expected")
    shifted = logs - highest[:, None]
    found: FloatArray = np.maximum(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), _FLOOR)
    return found


def _labels(labels: ArrayLike, n: int, k: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    found = np.asarray(labels)
    if found.shape != (n,):
        raise DataError(f"labels have shape {found.shape} for {n} rows: give one class index per row")
    if found.dtype.kind not in "iu" or (found < 0).any() or (found >= k).any():
        raise DataError(f"labels are expected to be whole numbers from 0 to {k - 1}")
    return found.astype(np.intp)


def _softmax(values: FloatArray) -> FloatArray:
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    found: FloatArray = raised / raised.sum(axis=1, keepdims=True)
    return found
