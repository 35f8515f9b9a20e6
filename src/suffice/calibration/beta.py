"""Beta calibration: the logit's two halves weighed apart.

References
----------
Kull, Silva Filho & Flach (2017), Beta calibration, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from suffice.calibration.base import Calibrator, real
from suffice.calibration.checks import EPS, FloatArray, log_loss, logit, sigmoid
from suffice.calibration.newton import logistic_fit
from suffice.calibration.platt import smoothed_targets

_FREE: Final = ((0, 1), (0,), (1,), ())
"""Which of a and b may differ from 0."""


class Beta(Calibrator):
    """sigmoid(a ln c - b ln(1 - c) + m) with a, b >= 0, by maximum likelihood.

    The bounds are met exactly: the optimum over every choice of which of a and b is 0 is worked out, and the
    best admissible one taken (the paper sets the negative one to 0 and refits). Where there is no finite
    optimum (every right answer is at least as sure as every wrong one, or all are right, or all wrong) the
    smoothed targets of Platt stand in. Where all confidences are equal, a = b = 1 and only m is learnt.
    """

    name = "beta"

    def __init__(self) -> None:
        """No parameters."""

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        targets = correct if _has_optimum(confidence, correct) else smoothed_targets(correct)
        if np.ptp(confidence) == 0:
            centre = logit(np.array([targets.mean()])) - logit(confidence[:1])
            self.a_, self.b_, self.m_ = 1.0, 1.0, float(centre[0])
            return
        features = _features(confidence)
        best = np.inf
        for free in _FREE:
            columns = np.column_stack([features[:, [*free]], np.ones(len(features))])
            found = logistic_fit(columns, targets)
            if found is None or (found[:-1] < 0).any():
                continue
            loss = log_loss(sigmoid(columns @ found), targets)
            if loss < best:
                best = loss
                weights = dict(zip(free, found[:-1].tolist(), strict=True))
                self.a_, self.b_ = weights.get(0, 0.0), weights.get(1, 0.0)
                self.m_ = float(found[-1])

    def _predict(self, confidence: FloatArray) -> FloatArray:
        return sigmoid(_features(confidence) @ np.array([self.a_, self.b_]) + self.m_)

    def _state(self) -> dict[str, Any]:
        return {"a": self.a_, "b": self.b_, "m": self.m_}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.a_, self.b_, self.m_ = (real(state, key) for key in ("a", "b", "m"))


def _features(confidence: FloatArray) -> FloatArray:
    """(n, 2): ln c and -ln(1 - c)."""
    held = np.clip(confidence, EPS, 1 - EPS)
    return np.column_stack([np.log(held), -np.log1p(-held)])


def _has_optimum(confidence: FloatArray, correct: FloatArray) -> bool:
    """With a, b >= 0 the map rises, so only a cut in that direction lets it run off to infinity."""
    right, wrong = confidence[correct == 1], confidence[correct == 0]
    if not len(right) or not len(wrong):
        return False
    return bool(wrong.max() > right.min()) or bool(np.ptp(confidence) == 0)
