"""p-values of a mean in [0, 1] from the mean alone.

References
----------
Bates et al. (2021), Distribution-free, risk-controlling prediction sets, section 3.1.2; Angelopoulos et al.
(2021), Learn then Test, section 2.2.
"""

from __future__ import annotations

import math

from suffice.calibration.guarantee.binomial import binomial_cdf


def hoeffding_bentkus_p(mean: float, n: int, limit: float) -> float:
    """Of "the mean is above the limit".

    Of the ceiling only what floating point adds is taken off: 7 failures in 100 are 7, not 8.

    Parameters
    ----------
    mean : of n losses in [0, 1]
    limit : in (0, 1)
    """
    hoeffding = math.exp(-n * _divergence(min(mean, limit), limit))
    bentkus = math.e * binomial_cdf(math.ceil(n * mean - 1e-9), n, limit)
    return min(1.0, hoeffding, bentkus)


def _divergence(a: float, b: float) -> float:
    """Kullback and Leibler's, of two coins."""
    left = a * math.log(a / b) if a > 0 else 0.0
    right = (1 - a) * math.log((1 - a) / (1 - b)) if a < 1 else 0.0
    return left + right
