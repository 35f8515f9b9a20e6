"""An interval for any metric of confidence and correctness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.bootstrap import percentile_interval, resample_counts
from suffice.metrics.checks import BadScores, classified, paired

FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """Floats; for a metric of several numbers, arrays with one entry each."""

    low: float | FloatArray
    high: float | FloatArray


def bootstrap_ci(
    metric: Callable[..., Any],
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    **kwargs: Any,
) -> Interval:
    """Percentile interval of a metric, by drawing answers with replacement.

    Two signals of the same answers, and two metrics, see the same draws under the same seed. Plain
    calibration errors rise when answers are drawn twice: their interval lies high and may miss the value.

    Parameters
    ----------
    metric : one of this package, or any f(confidence, correct, **kwargs) that gives a number or several
    confidence, correct : as the metric takes them, also (n, K) and labels
    n : resamples, at least 1
    level : in (0, 1)
    seed : of the draws
    kwargs : handed to the metric, such as n_bins=10 or coverage=0.9

    Returns
    -------
    Interval; resamples in which the metric is NaN (as AUROC of only right answers) are left out, and it is
    NaN if all are

    Raises
    ------
    BadScores
        If n or level is out of range, or the metric gives arrays of changing length, as curves are.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Examples
    --------
    >>> from suffice.metrics import brier_score
    >>> bootstrap_ci(brier_score, [0.5, 0.5], [0, 1])
    Interval(low=0.25, high=0.25)
    """
    if n < 1 or not 0 < level < 1:
        raise BadScores(f"n is {n} and level {level}: expected at least 1, and a level inside (0, 1)")
    sure, right = (classified if np.ndim(confidence) == 2 else paired)(confidence, correct)
    rows = np.arange(len(right))
    drawn = []
    for counts in resample_counts(len(rows), n, seed=seed):
        for count in counts:
            taken = np.repeat(rows, count)
            drawn.append(np.asarray(metric(sure[taken], right[taken], **kwargs), dtype=np.float64))
    if len({sample.shape for sample in drawn}) > 1 or drawn[0].ndim > 1:
        raise BadScores(
            f"{getattr(metric, '__name__', 'metric')} gives no fixed number of values: no interval"
        )
    samples = np.array(drawn)
    if samples.ndim == 1:
        return Interval(*_interval(samples, level))
    low, high = zip(*(_interval(column, level) for column in samples.T), strict=True)
    return Interval(np.array(low), np.array(high))


def _interval(samples: FloatArray, level: float) -> tuple[float, float]:
    known = samples[~np.isnan(samples)]
    return percentile_interval(known, level) if len(known) else (float("nan"), float("nan"))
