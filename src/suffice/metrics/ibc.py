"""What a mixture of models gains for the money that it spends beyond its cheapest model.

References
----------
Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models, section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.bootstrap import percentile_interval, resampled_means
from suffice.metrics.checks import BadScores
from suffice.metrics.intervals import Interval

FloatArray = NDArray[np.float64]


def ibc(quality: float, cost: float, *, small: tuple[float, float]) -> float:
    """Quality gained per unit of cost beyond the small model: (P_M - P_S) / (C_M - C_S).

    Parameters
    ----------
    quality, cost : means of the method
    small : mean quality and cost of the small model alone

    Returns
    -------
    float; NaN where the method costs no more than the small model

    Examples
    --------
    >>> ibc(0.75, 3.0, small=(0.5, 1.0))
    0.125
    """
    extra = cost - small[1]
    return (quality - small[0]) / extra if extra > 0 else float("nan")


def delta_ibc(
    quality: float, cost: float, *, small: tuple[float, float], large: tuple[float, float]
) -> float:
    """How much more a method gains per unit of cost than always asking the large model: a ratio, 0 is equal.

    Published as a percentage. Sending any share of queries to the large model at random, and only the others
    to the small one, has 0.

    Returns
    -------
    float; NaN where the method costs no more than the small model, or the large model is no better or no
    dearer than it

    Examples
    --------
    >>> delta_ibc(0.75, 3.0, small=(0.5, 1.0), large=(0.75, 5.0))
    1.0
    """
    base = ibc(large[0], large[1], small=small)
    return ibc(quality, cost, small=small) / base - 1.0 if base > 0 else float("nan")


def delta_ibc_interval(
    method: tuple[ArrayLike, ArrayLike],
    small: tuple[ArrayLike, ArrayLike],
    large: tuple[ArrayLike, ArrayLike],
    *,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of `delta_ibc`, by drawing queries with replacement.

    Parameters
    ----------
    method, small, large : quality and cost, shape (n_queries,) each, of the same queries
    n : resamples, at least 1
    level : in (0, 1)
    seed : of the draws

    Returns
    -------
    Interval; resamples in which it is NaN are left out, and it is NaN if all are

    Raises
    ------
    BadScores
        If the lengths differ, or there is no query.

    Examples
    --------
    >>> delta_ibc_interval(([1.0, 1.0], [2.0, 2.0]), ([0.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [3.0, 3.0]))
    Interval(low=1.0, high=1.0)
    """
    columns = [np.asarray(one, dtype=np.float64) for pair in (method, small, large) for one in pair]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1 or not len(columns[0]):
        raise BadScores(f"six columns of queries have shapes {[column.shape for column in columns]}")
    drawn = resampled_means(np.column_stack(columns), n, seed=seed)
    found = np.array([delta_ibc(q, c, small=(p, d), large=(r, e)) for q, c, p, d, r, e in drawn.tolist()])
    known = found[~np.isnan(found)]
    return Interval(*percentile_interval(known, level)) if len(known) else Interval(np.nan, np.nan)
