"""A straight line on the logit.

References
----------
Platt (1999), Probabilistic Outputs for Support Vector Machines, section 2; here on the logit of a
confidence instead of an SVM's margin, and without regularisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from suffice.calibration.base import Calibrator, real
from suffice.calibration.checks import FloatArray, logit, sigmoid
from suffice.calibration.newton import logistic_fit


class Platt(Calibrator):
    """sigmoid(a logit(c) + b), a and b by maximum likelihood.

    Where that has no finite optimum (the right and the wrong answers can be told apart by a cut, or all
    are right, or all wrong) Platt's smoothed targets are used, whatever `smoothed` says. Where all
    confidences are equal only b can be learnt, and a stays 1.
    """

    name = "platt"

    def __init__(self, *, smoothed: bool = False) -> None:
        """
        Parameters
        ----------
        smoothed : targets (n+ + 1) / (n+ + 2) for right and 1 / (n- + 2) for wrong answers, with n+ and n-
            their numbers, instead of 1 and 0
        """
        self.smoothed = smoothed

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        z = logit(confidence)
        is_plain = not self.smoothed and overlaps(z, correct)
        targets = correct if is_plain else smoothed_targets(correct)
        if np.ptp(z) == 0:
            mean = np.clip(np.mean(targets if is_plain else smoothed_targets(correct), keepdims=True), 0, 1)
            self.a_, self.b_ = 1.0, float(logit(mean)[0] - z[0])
            return
        found = logistic_fit(np.column_stack([z, np.ones_like(z)]), targets)
        if found is None:  # two confidences that differ in the last digit
            self.a_, self.b_ = 1.0, float(np.mean(logit(np.array([targets.mean()])) - z))
            return
        self.a_, self.b_ = map(float, found)

    def _predict(self, confidence: FloatArray) -> FloatArray:
        return sigmoid(self.a_ * logit(confidence) + self.b_)

    def _state(self) -> dict[str, Any]:
        return {"a": self.a_, "b": self.b_}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.a_, self.b_ = real(state, "a"), real(state, "b")


def overlaps(z: FloatArray, correct: FloatArray) -> bool:
    """Whether right and wrong answers are so mixed that no cut tells them apart, in either direction."""
    right, wrong = z[correct == 1], z[correct == 0]
    if not len(right) or not len(wrong):
        return False
    if np.ptp(z) == 0:
        return True
    return bool(wrong.max() > right.min() and right.max() > wrong.min())


def smoothed_targets(correct: FloatArray) -> FloatArray:
    """Platt's: never quite 1 or 0, the less so the fewer rows of the class there are."""
    n_right = correct.sum()
    n_wrong = len(correct) - n_right
    found: FloatArray = np.where(correct == 1, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    return found
