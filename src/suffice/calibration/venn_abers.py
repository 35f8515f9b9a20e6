"""Two isotonic fits per answer, as if it were wrong and as if it were right.

References
----------
Vovk & Petej (2014), Venn-Abers Predictors; Vovk, Petej & Fedorova (2015), Large-scale probabilistic
predictors with and without guarantees of validity, section 2 (inductive) and 4 (the merged probability).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.base import Calibrator, reals
from suffice.calibration.checks import FloatArray, numbers
from suffice.calibration.isotonic import Ties, pooled


class VennAbers(Calibrator):
    """p1 / (1 - p0 + p1): p0 and p1 are the isotonic values with the answer added as wrong and as right.

    One of p0 and p1 is perfectly calibrated, whatever the data; the further apart they are, the less the
    calibration rows say here. Never exactly 0 or 1. The paper's fast algorithm works out what any
    confidence would get; here that is done by joining the blocks of the two sides around it.
    """

    name = "venn_abers"

    def __init__(self) -> None:
        """No parameters."""

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        ties = pooled(confidence, correct)
        self.confidence_ = ties.confidence
        left, right = _prefixes(ties), _prefixes(_mirrored(ties))
        m = len(ties.n)
        table = np.empty((2, 2 * m + 1))
        for place in range(2 * m + 1):
            at, is_known = place // 2, place % 2 == 1  # odd places are known confidences, even ones the gaps
            own = (float(ties.n_right[at]), float(ties.n[at])) if is_known else (0.0, 0.0)
            after = m - at - int(is_known)
            for label in (0, 1):
                middle = (own[0] + label, own[1] + 1)
                table[label, place] = _joined(middle, left[at], right[after])
        self.p0_, self.p1_ = table

    def interval(self, confidence: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """p0 and p1, each (n,), p0 < p1."""
        self._check_fitted()
        place = self._places(numbers(confidence, "confidence"))
        return self.p0_[place], self.p1_[place]

    def _predict(self, confidence: FloatArray) -> FloatArray:
        place = self._places(confidence)
        merged: FloatArray = self.p1_[place] / (1 - self.p0_[place] + self.p1_[place])
        return merged

    def _places(self, confidence: FloatArray) -> np.ndarray[Any, np.dtype[np.intp]]:
        below = np.searchsorted(self.confidence_, confidence, side="left")
        return below + np.searchsorted(self.confidence_, confidence, side="right")

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, f"{name}_").tolist() for name in ("confidence", "p0", "p1")}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.confidence_, self.p0_, self.p1_ = (reals(state, name) for name in ("confidence", "p0", "p1"))
        if not len(self.p0_) == len(self.p1_) == 2 * len(self.confidence_) + 1:
            raise ValueError("p0 and p1 do not fit the confidences")
        if not (np.diff(self.confidence_) > 0).all():
            raise ValueError("the confidences do not rise")


class _Block(NamedTuple):
    """The last block of a monotone fit; `before` leads to the others."""

    total: float
    weight: float
    before: _Block | None

    def joined(self, total: float, weight: float) -> Self:
        return self._replace(total=self.total + total, weight=self.weight + weight)


def _prefixes(ties: Ties) -> list[_Block | None]:
    """The monotone fit of the first k entries, for k from 0 to m: they share what they have in common."""
    found: list[_Block | None] = [None]
    for total, weight in zip(ties.n_right.tolist(), ties.n.tolist(), strict=True):
        block = _Block(total, weight, found[-1])
        while (
            before := block.before
        ) is not None and before.total * block.weight >= block.total * before.weight:
            block = before.joined(block.total, block.weight)
        found.append(block)
    return found


def _mirrored(ties: Ties) -> Ties:
    """The other way round, right and wrong swapped: a rising fit from the right end is one of these."""
    return Ties(1 - ties.confidence[::-1], (ties.n - ties.n_right)[::-1], ties.n[::-1])


def _joined(middle: tuple[float, float], left: _Block | None, right: _Block | None) -> float:
    """The value of the middle block once it has swallowed what violates the order on both sides."""
    total, weight = middle
    while True:
        if left is not None and left.total * weight >= total * left.weight:
            total, weight, left = total + left.total, weight + left.weight, left.before
        elif right is not None and (right.weight - right.total) * weight <= total * right.weight:
            total, weight = total + right.weight - right.total, weight + right.weight
            right = right.before
        else:
            return total / weight
