"""About how many rows a test needs."""

from __future__ import annotations

import math

import numpy as np

from suffice.calibration.checks import FloatArray
from suffice.calibration.guarantee.betting import SHARE, betting_p_values
from suffice.calibration.guarantee.binomial import rows_at_rate
from suffice.calibration.guarantee.promises import Promise
from suffice.calibration.guarantee.table import Table, counts


def rows_needed(
    promise: Promise, table: Table, kept: FloatArray, epsilon: float, delta: float, method: str
) -> int | None:
    """Rows like these with which one threshold, kept (n, 1), would probably pass; None: no number would do.

    For betting, the rows in which the stake grows to 1 / delta at the best rate that one constant bet has on
    these rows; without any loss among them, by the test itself. For counts, the fewest that pass at the rate
    of failure of these rows.
    """
    if method == "betting":
        return _by_betting(promise, table, kept, epsilon, delta)
    counted, failed = counts(promise, table, kept, epsilon)
    share = float(counted[0]) / table.n
    rate = float(failed[0] / counted[0]) if counted[0] else 0.0
    n = rows_at_rate(rate, promise.limit(epsilon), delta) if share else None
    return None if n is None else math.ceil(n / share)


def _by_betting(promise: Promise, table: Table, kept: FloatArray, epsilon: float, delta: float) -> int | None:
    excess = promise.excess(table.weak, table.strong, kept, epsilon)[:, 0]
    most = 1.0 - promise.limit(epsilon)
    bets = np.linspace(0, SHARE / most, 65)[1:]
    rate = float(np.log1p(-bets[:, None] * excess).mean(axis=1).max())
    if rate <= 0:
        return None
    guess = max(1, math.ceil(math.log(1 / delta) / rate))
    if not (excess > 0).any():  # the test itself says it exactly
        low, high = guess, 8 * guess + 64
        while low < high:
            n = (low + high) // 2
            like = np.resize(excess, n)[:, None]
            low, high = (low, n) if betting_p_values(like, most, delta)[0] <= delta else (n + 1, high)
        return low
    return guess
