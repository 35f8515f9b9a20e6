"""An interval for a share that was counted."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson_interval(n_right: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Where the true share lies; honest for few answers and for shares near 0 and 1.

    Parameters
    ----------
    n_right : in [0, n]
    n : at least 0; with none nothing is known and it is (0, 1)
    level : in (0, 1)

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.

    Examples
    --------
    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    if not 0 <= n_right <= n or not 0 < level < 1:
        raise ValueError(
            f"{n_right} of {n} at level {level}: expected 0 <= n_right <= n and a level in (0, 1)"
        )
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = n_right / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
