"""The best non-decreasing map.

References
----------
Zadrozny & Elkan (2002), Transforming Classifier Scores into Accurate Multiclass Probability Estimates;
pool adjacent violators: Ayer et al. (1955), An Empirical Distribution Function for Sampling with Incomplete
Information.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suffice.calibration.base import Calibrator, reals
from suffice.calibration.checks import FloatArray


class Isotonic(Calibrator):
    """Least squares under "surer is never less often right"; needs many labels, about 1,000.

    Rows of equal confidence are pooled first. Between two known confidences the map is a straight line,
    outside of them constant: scikit-learn's IsotonicRegression with out_of_bounds="clip". One row, or all
    right, gives a constant; the ends are often exactly 0 or 1, which `VennAbers` avoids.
    """

    name = "isotonic"

    def __init__(self) -> None:
        """No parameters."""

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        ties = pooled(confidence, correct)
        values = pav(ties.n_right, ties.n)
        # of a flat stretch only its ends matter
        is_end = np.ones(len(values), dtype=bool)
        is_end[1:-1] = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
        self.confidence_, self.probability_ = ties.confidence[is_end], values[is_end]

    def _predict(self, confidence: FloatArray) -> FloatArray:
        return np.interp(confidence, self.confidence_, self.probability_)

    def _state(self) -> dict[str, Any]:
        return {"confidence": self.confidence_.tolist(), "probability": self.probability_.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.confidence_, self.probability_ = reals(state, "confidence"), reals(state, "probability")
        is_rising = (np.diff(self.confidence_) > 0).all() and (np.diff(self.probability_) >= 0).all()
        if not len(self.confidence_) or len(self.confidence_) != len(self.probability_) or not is_rising:
            raise ValueError("confidence and probability are no rising pairs")


class Ties(NamedTuple):
    """Rows of equal confidence as one."""

    confidence: FloatArray
    """(m,), rising."""
    n_right: FloatArray
    n: FloatArray


def pooled(confidence: FloatArray, correct: FloatArray) -> Ties:
    """One entry per distinct confidence."""
    distinct, place = np.unique(confidence, return_inverse=True)
    n_right = np.bincount(place, correct).astype(np.float64)
    return Ties(distinct, n_right, np.bincount(place).astype(np.float64))


def pav(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """(m,) values that never fall and are nearest to sums / weights, weighed (pool adjacent violators)."""
    starts: list[int] = []
    block_sums: list[float] = []
    block_weights: list[float] = []
    for place in range(len(sums)):
        start, total, weight = place, float(sums[place]), float(weights[place])
        # compared by products: no rounding, as sums and weights of 0/1 labels are whole numbers
        while block_sums and block_sums[-1] * weight >= total * block_weights[-1]:
            total += block_sums.pop()
            weight += block_weights.pop()
            start = starts.pop()
        starts.append(start)
        block_sums.append(total)
        block_weights.append(weight)
    lengths: NDArray[np.intp] = np.diff([*starts, len(sums)])
    return np.repeat(np.array(block_sums) / np.array(block_weights), lengths)
