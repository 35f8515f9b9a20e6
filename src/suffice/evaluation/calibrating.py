"""A calibrator for one column of confidences (or one router's scores), and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import msgspec
import numpy as np

from suffice.calibration import choose_calibrator
from suffice.metrics import brier_score, expected_calibration_error, negative_log_likelihood
from suffice.types import FloatArray

N_FOLDS: Final = 5
_TENTHS: Final = np.arange(1, 10) / 10


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """Of confidences, against what was right."""

    nll: float
    """Mean, in nats."""
    ece: float
    """Fifteen equal-width bins."""
    brier: float

    @classmethod
    def of(cls, confidence: FloatArray, correct: FloatArray) -> Self:
        return cls(
            nll=float(negative_log_likelihood(confidence, correct)),
            ece=float(expected_calibration_error(confidence, correct)),
            brier=float(brier_score(confidence, correct)),
        )


def cross_fitted(
    confidence: FloatArray, correct: FloatArray, *, candidates: Sequence[str] | None = None, seed: int = 0
) -> FloatArray:
    """(n,) calibrated, each by a calibrator that was chosen and fitted without that row; n at least 2."""
    fold = np.random.default_rng(seed).permutation(len(confidence)) % min(N_FOLDS, len(confidence))
    found = np.empty(len(confidence))
    for held in range(fold.max() + 1):
        is_held = fold == held
        chosen = choose_calibrator(confidence[~is_held], correct[~is_held], candidates=candidates, seed=seed)
        found[is_held] = chosen.predict(confidence[is_held])
    return found


def spread(confidence: FloatArray) -> tuple[list[float], list[float]]:
    """Edges of tenths and the share of each cell, to see later whether confidences are spread as they were.

    Cells are right-closed; where confidences repeat there are fewer than ten.

    Examples
    --------
    >>> spread(np.array([0.2, 0.2, 0.2, 0.8]))
    ([0.2], [0.75, 0.25])
    """
    edges = np.unique(np.quantile(confidence, _TENTHS, method="inverted_cdf"))
    edges = edges[edges < confidence.max()]
    cells = np.bincount(np.searchsorted(edges, confidence, side="left"), minlength=len(edges) + 1)
    return edges.tolist(), (cells / len(confidence)).tolist()


def threshold_for(share: float, gain: FloatArray) -> float:
    """The gain from which on the strong model answers, so that it answers this share of the queries.

    RouteLLM's calibration of a threshold (its `calibrate_threshold`), on gains instead of win rates: halfway
    between two gains. Where gains are equal no threshold parts them, and the share comes out higher.

    Parameters
    ----------
    share : in [0, 1]
    gain : shape (n,), score(strong) - score(weak); NaN goes to the strong model at any threshold

    Examples
    --------
    >>> threshold_for(0.5, np.array([0.1, 0.4, 0.2, 0.3]))
    0.25
    """
    ordered = np.sort(np.where(np.isnan(gain), 1.0, gain))[::-1]
    k = round(share * len(ordered))
    above = 1.0 if k == 0 else float(ordered[k - 1])
    below = -1.0 if k == len(ordered) else float(ordered[k])
    return (above + below) / 2
