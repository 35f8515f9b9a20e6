"""Whether one signal ranks answers better than another, on the same resampled answers."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from suffice.metrics import auroc, percentile_interval, resample_counts
from suffice.types import FloatArray


class AurocGain(msgspec.Struct, frozen=True, kw_only=True):
    """A difference of AUROCs on the answers that have both signals."""

    gain: float
    low: float
    high: float
    """The ends of its 95 % interval."""
    n: int

    @property
    def verdict(self) -> str:
        """ "better", "worse", or "within chance"."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "within chance"


def auroc_gain(
    confidence: ArrayLike, baseline: ArrayLike, correct: ArrayLike, *, n_resamples: int = 1000, seed: int = 0
) -> AurocGain | None:
    """AUROC less the baseline's, with a paired bootstrap interval.

    Parameters
    ----------
    confidence, baseline : shape (n,), NaN where missing; answers that lack either are left out
    correct : shape (n,), 1 or 0

    Returns
    -------
    None where nothing is left to compare, or all of it is right or all wrong

    Examples
    --------
    >>> auroc_gain([0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], n_resamples=50).gain
    1.0
    """
    sure, other, right = (np.asarray(one, dtype=np.float64) for one in (confidence, baseline, correct))
    both = ~np.isnan(sure) & ~np.isnan(other)
    sure, other, right = sure[both], other[both], right[both]
    if not len(right) or right.min() == right.max():
        return None
    drawn = resampled_auroc(sure, right, n_resamples, seed) - resampled_auroc(other, right, n_resamples, seed)
    low, high = percentile_interval(drawn[~np.isnan(drawn)])
    return AurocGain(gain=auroc(sure, right) - auroc(other, right), low=low, high=high, n=len(right))


def resampled_auroc(confidence: FloatArray, correct: FloatArray, n_resamples: int, seed: int) -> FloatArray:
    """(n_resamples,) AUROCs of answers drawn with replacement; NaN where only right or only wrong are drawn.

    With weights w of a draw: the sum over distinct confidences of w_right (w_wrong below + half of w_wrong
    there), over all pairs.
    """
    order = np.argsort(confidence, kind="stable")
    sure, right = confidence[order], correct[order] > 0
    starts = np.concatenate([[0], np.flatnonzero(np.diff(sure)) + 1])
    found = []
    for counts in resample_counts(len(sure), n_resamples, seed=seed):
        drawn = counts[:, order].astype(np.float64)
        wins = np.add.reduceat(drawn * right, starts, axis=1)
        losses = np.add.reduceat(drawn * ~right, starts, axis=1)
        below = np.cumsum(losses, axis=1) - losses / 2
        with np.errstate(invalid="ignore"):
            found.append((wins * below).sum(axis=1) / (wins.sum(axis=1) * losses.sum(axis=1)))
    return np.concatenate(found)
