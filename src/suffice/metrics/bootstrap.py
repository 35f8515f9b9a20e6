"""Percentile intervals by resampling rows.

References
----------
Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_CHUNK_CELLS = 4_000_000
"""Counts held at a time: 32 MB."""


def resampled_means(values: ArrayLike, n_resamples: int, *, seed: int = 0) -> FloatArray:
    """Column means of rows drawn with replacement, over and over.

    All columns see the same draws, and so do two calls with the same seed and number of rows: curves
    that are compared are compared on the same resampled queries.

    Parameters
    ----------
    values : shape (n_rows, n_columns), n_rows at least 1
    n_resamples : at least 1
    seed : of the draws

    Returns
    -------
    shape (n_resamples, n_columns)

    Raises
    ------
    ValueError
        If values is not a table with a row, or n_resamples is under 1.

    Examples
    --------
    >>> resampled_means([[2.0, 3.0]], 2).tolist()
    [[2.0, 3.0], [2.0, 3.0]]
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not len(table) or n_resamples < 1:
        raise ValueError(
            f"values have shape {table.shape} and n_resamples is {n_resamples}: need a row of each"
        )
    n_rows = len(table)
    parts = [counts @ table / n_rows for counts in resample_counts(n_rows, n_resamples, seed=seed)]
    return np.concatenate(parts)


def resample_counts(n_rows: int, n_resamples: int, *, seed: int = 0) -> Iterator[IntArray]:
    """How often each row is drawn, resample by resample, some resamples at a time.

    The draws of `resampled_means`: statistics that are no means are compared on them too.

    Parameters
    ----------
    n_rows, n_resamples : at least 1
    seed : of the draws

    Yields
    ------
    shape (m, n_rows), rows summing to n_rows; the m sum to n_resamples
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // n_rows)
    for start in range(0, n_resamples, step):
        n = min(step, n_resamples - start)
        drawn = rng.integers(n_rows, size=(n, n_rows)) + n_rows * np.arange(n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * n_rows).reshape(n, n_rows)


def two_sided_p(samples: ArrayLike) -> float:
    """How surprising a statistic's resamples make the value 0: twice the smaller tail.

    Parameters
    ----------
    samples : shape (n_samples,), at least one; resamples of a difference

    Returns
    -------
    float, in (0, 1]; never below 2 / (n_samples + 1), since resampling knows no smaller chance

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, equation 4.11 for the added one.

    Examples
    --------
    >>> two_sided_p([-1.0, 1.0, 2.0])
    1.0
    >>> two_sided_p([1.0] * 39)
    0.05
    """
    drawn = np.asarray(samples, dtype=np.float64)
    if not drawn.size:
        raise ValueError("no samples: at least one is needed")
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return float(min(1.0, 2 * (1 + tail) / (len(drawn) + 1)))


def percentile_interval(samples: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The central range that holds `level` of the samples.

    Parameters
    ----------
    samples : shape (n_samples,), at least one
    level : in (0, 1)

    Raises
    ------
    ValueError
        If there is no sample or level is not inside (0, 1).

    Examples
    --------
    >>> percentile_interval([0.0, 1.0, 2.0, 3.0, 4.0], level=0.5)
    (1.0, 3.0)
    """
    drawn = np.asarray(samples, dtype=np.float64)
    if not drawn.size or not 0 < level < 1:
        raise ValueError(f"{drawn.size} samples at level {level}: need a sample and a level inside (0, 1)")
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)
