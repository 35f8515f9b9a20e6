"""By how much one system is at least better than another, both scored on the same rows.

References
----------
Tango (1998), Equivalence test and confidence interval for the difference in proportions for the
paired-sample design, equations 2 and 3; Rao & Scott (1992), A simple method for the analysis of clustered
binary data, section 2, for rows that are not independent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
_STEPS = 60
"""Halvings of the interval in which a bound lies."""


def paired_lower_bound(
    difference: ArrayLike, *, alpha: float = 0.05, clusters: Sequence[Hashable] | None = None
) -> float:
    """One-sided lower confidence bound of the mean of paired differences.

    Where every difference is -1, 0 or 1 (both systems right or wrong) the score bound of Tango, which holds
    for few discordant rows, and for none; else that of the normal distribution. Rows of one cluster count as
    much as their common variance says: counts are divided by the design effect.

    Parameters
    ----------
    difference : shape (n,), in [-1, 1], quality of the one less quality of the other, n at least 1
    alpha : in (0, 1), the chance that the mean is lower
    clusters : shape (n,), what rows that say nearly the same share; None: every row stands for itself

    Returns
    -------
    float, in [-1, 1]

    Raises
    ------
    ValueError
        If there is no row, a difference is NaN or out of range, or alpha or the clusters do not fit.

    Examples
    --------
    >>> round(paired_lower_bound([0.0] * 1000), 4), round(paired_lower_bound([1.0, -1.0] * 50), 3)
    (-0.0027, -0.163)
    """
    values = np.asarray(difference, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not (np.abs(values) <= 1).all():
        raise ValueError("differences must be a list of at least one number in [-1, 1], none NaN")
    if not 0 < alpha < 1 or (clusters is not None and len(clusters) != len(values)):
        raise ValueError(f"alpha is {alpha} and clusters are as many as rows, or None: that does not hold")
    z = NormalDist().inv_cdf(1 - alpha)
    effect = 1.0 if clusters is None else _design_effect(values, clusters)
    n = len(values) / effect
    if np.isin(values, (-1.0, 0.0, 1.0)).all():
        better, worse = float((values > 0).sum()), float((values < 0).sum())
        return _tango(better / effect, worse / effect, n, z)
    return max(-1.0, float(values.mean() - z * values.std() / sqrt(max(n - 1, 1e-9))))


def _design_effect(values: FloatArray, clusters: Sequence[Hashable]) -> float:
    """Variance of the mean by clusters over that by rows; at least 1."""
    place = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    rest = values - values.mean()
    sums = np.bincount([place[name] for name in clusters], rest)
    by_row = float((rest**2).sum())
    return max(1.0, float((sums**2).sum()) / by_row) if by_row else 1.0


def _tango(better: float, worse: float, n: float, z: float) -> float:
    """The smallest difference that the counts do not reject."""
    low, high = -1.0, (better - worse) / n
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _score(better, worse, n, middle) > z:
            low = middle
        else:
            high = middle
    return high


def _score(better: float, worse: float, n: float, d: float) -> float:
    """How far the counts lie above a true difference of d, in its standard errors (equation 2)."""
    a, b, c = 2 * n, (2 * n - better + worse) * d - better - worse, -worse * d * (1 - d)
    q = (sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)  # the chance of "worse" under d
    variance = n * (2 * q + d * (1 - d))
    above = better - worse - n * d
    return above / sqrt(variance) if variance > 0 else (0.0 if above <= 0 else np.inf)
