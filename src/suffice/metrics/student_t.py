"""Student's t: how many standard errors an interval reaches to each side."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

_MANY: Final = 200
"""Degrees of freedom from which on the expansion's error is below 1e-9."""


def half_width(level: float, df: int) -> float:
    """The t with P(|T| < t) = level; infinite where df is 0, as one value has no spread.

    Parameters
    ----------
    level : in (0, 1)
    df : degrees of freedom

    References
    ----------
    Abramowitz & Stegun (1964), 26.7.3 and 26.7.4, finite sums for whole df, by bisection; 26.7.5 for many.

    Examples
    --------
    >>> [round(half_width(0.95, df), 3) for df in (1, 2, 9, 1000)]
    [12.706, 4.303, 2.262, 1.962]
    """
    if df < 1:
        return math.inf
    if df >= _MANY:
        z = NormalDist().inv_cdf((1 + level) / 2)
        first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
        third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
        return z + first / df + second / df**2 + third / df**3
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, df) < level else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _inside(angle: float, df: int) -> float:
    """P(|T| < tan(angle) sqrt(df))."""
    cosine, odd = math.cos(angle), df % 2
    term = cosine if odd else 1.0
    total = term if df > 1 else 0.0
    for power in range(3 if odd else 2, df - 1, 2):
        term *= (power - 1) / power * cosine**2
        total += term
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total
