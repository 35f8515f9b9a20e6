"""p-values by betting against "the mean excess is above 0".

A gambler whose stake cannot grow in the mean where the promise is broken grows rich only by a chance that is
at most one over the riches (Ville). Bets depend on earlier rows alone.

References
----------
Waudby-Smith & Ramdas (2024), Estimating means of bounded random variables by betting, section 3 and equation
15; bets on the paired difference itself, not on its image in [0, 1].
"""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.calibration.checks import FloatArray

SHARE: Final = 0.75
"""The most of the stake that one row may cost."""


def betting_p_values(excess: FloatArray, most: float, delta: float) -> FloatArray:
    """(m,) p-values of "the mean is above 0", one per column.

    Parameters
    ----------
    excess : shape (n, m), in the order in which the rows came, or one drawn without looking
    most : the highest value that a row can have, above 0
    delta : the level that the bets are tuned for; the p-values hold at any

    Notes
    -----
    Row t is bet nu_t = min(0.75 / most, sqrt(2 ln(1/delta) / (n v_(t-1)))), with v the variance of the rows
    before t, to which one of 1/4 is added; the mean in it starts from 0, where the limit lies.
    """
    by_column = np.ascontiguousarray(excess.T)  # (m, n): sums along rows of memory
    m, n = by_column.shape
    counted = np.arange(2, n + 2, dtype=np.float64)
    deviation = np.cumsum(by_column, axis=1)
    deviation /= counted
    np.subtract(by_column, deviation, out=deviation)
    deviation *= deviation
    variance = np.empty((m, n))
    variance[:, 0] = 0.25
    np.cumsum(deviation[:, :-1], axis=1, out=variance[:, 1:])
    variance[:, 1:] += 0.25
    variance[:, 1:] /= counted[:-1]
    bets = np.sqrt(2 * np.log(1 / delta) / n / variance, out=variance)
    np.minimum(bets, SHARE / most, out=bets)
    bets *= by_column
    wealth = np.cumsum(np.log1p(-bets, out=bets), axis=1).max(axis=1)
    found: FloatArray = np.exp(-np.maximum(wealth, 0.0))
    return found
