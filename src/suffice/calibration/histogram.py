"""How often answers of about that confidence were right.

References
----------
Zadrozny & Elkan (2001), Obtaining Calibrated Probability Estimates from Decision Trees and Naive Bayesian
Classifiers, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.calibration.base import Calibrator, reals
from suffice.calibration.checks import FloatArray
from suffice.errors import ConfigError


class Histogram(Calibrator):
    """The share of right answers in the confidence's bin; an empty bin leaves confidences as they are.

    Bins are of equal width and closed on the right, 0 joins the first, as in `suffice.metrics`.
    """

    name = "histogram"

    def __init__(self, *, n_bins: int = 15) -> None:
        if isinstance(n_bins, bool) or not isinstance(n_bins, int) or n_bins < 1:
            raise ConfigError(f"n_bins is {n_bins!r}: expected a whole number of at least 1")
        self.n_bins = n_bins

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        place = self._bins(confidence)
        self.n_ = np.bincount(place, minlength=self.n_bins).astype(np.float64)
        n_right = np.bincount(place, correct, minlength=self.n_bins)
        self.share_ = n_right / np.maximum(self.n_, 1.0)

    def _predict(self, confidence: FloatArray) -> FloatArray:
        place = self._bins(confidence)
        return np.where(self.n_[place] > 0, self.share_[place], confidence)

    def _bins(self, confidence: FloatArray) -> NDArray[np.intp]:
        # whole numbers, not edges of linspace, whose rounding moves scores that lie on an edge
        place = np.ceil(confidence * self.n_bins - 1e-12).astype(np.intp) - 1
        return np.clip(place, 0, self.n_bins - 1)

    def _state(self) -> dict[str, Any]:
        return {"n": self.n_.tolist(), "share": self.share_.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.n_, self.share_ = reals(state, "n", high=np.inf), reals(state, "share")
        if not len(self.n_) == len(self.share_) == self.n_bins:
            raise ValueError(f"{len(self.n_)} and {len(self.share_)} bins instead of {self.n_bins}")
