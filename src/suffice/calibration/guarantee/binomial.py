"""Exact tests of a number of failures.

References
----------
Clopper & Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

_MOST: Final = 1_000_000


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) <= k).

    Examples
    --------
    >>> binomial_cdf(0, 2, 0.5)
    0.25
    """
    if k < 0:
        return 0.0
    if k >= n or p <= 0:
        return 1.0
    if p >= 1:
        return 0.0
    if k > n * p:  # the other tail is the shorter sum
        return 1.0 - binomial_cdf(n - k - 1, n, 1 - p)
    i = np.arange(1, k + 1, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log(n - i + 1) - np.log(i))])
    logs += np.arange(k + 1) * math.log(p) + (n - np.arange(k + 1)) * math.log1p(-p)
    top = float(logs.max())
    return min(1.0, math.exp(top) * math.fsum(np.exp(logs - top).tolist()))


def clopper_pearson(k: int, n: int, delta: float) -> float:
    """Upper bound of a rate that holds with probability 1 - delta, after k failures in n rows.

    The 1 - delta quantile of Beta(k + 1, n - k), by bisection.
    """
    if k >= n:
        return 1.0
    low, high = k / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_cdf(k, n, middle) > delta else (low, middle)
    return high


def rows_at_rate(rate: float, limit: float, delta: float) -> int | None:
    """About the fewest rows that certify a limit if they fail at that rate; None where no number would.

    Examples
    --------
    >>> rows_at_rate(0.0, 0.05, 0.05), rows_at_rate(0.05, 0.05, 0.05)
    (59, None)
    """
    if rate >= limit:
        return None
    least, most = rows_without_loss(limit, delta), _MOST
    while least < most:
        n = (least + most) // 2
        is_enough = binomial_cdf(math.floor(rate * n + 1e-9), n, limit) <= delta
        least, most = (least, n) if is_enough else (n + 1, most)
    return least if least < _MOST else None


def rows_without_loss(epsilon: float, delta: float) -> int:
    """Rows that certify a rate of epsilon if none of them fails: ln(1/delta) / -ln(1 - epsilon), rounded up.

    Examples
    --------
    >>> [rows_without_loss(rate, 0.05) for rate in (0.10, 0.05, 0.02, 0.01)]
    [29, 59, 149, 299]
    """
    return math.ceil(math.log(1 / delta) / -math.log1p(-epsilon) - 1e-9)
