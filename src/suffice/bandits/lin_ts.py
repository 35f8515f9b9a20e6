"""Thompson sampling: an arm is pulled with the chance that it is the best one.

References
----------
Agrawal and Goyal (2013), Thompson sampling for contextual bandits with linear payoffs, algorithm 1. Arms
are independent here, so an arm's sampled reward for a context is one normal number, and the chance that it
is the highest is an integral over one variable: propensities are exact, not counted from draws.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.bandits.base import Vector
from suffice.bandits.linear import LinearBandit
from suffice.types import BoolArray, FloatArray

_N_POINTS: Final = 129
_REACH: Final = 6.0
"""Standard deviations around the means that are integrated over."""


class LinTS(LinearBandit):
    """Chances of theta ~ N(mean, alpha^2 A^-1)."""

    name = "lin_ts"

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> FloatArray:
        mean, width = self._estimates(x)
        values = mean.astype(float) if penalty is None else mean - penalty
        return chances_of_highest(values, np.maximum(width.astype(float), 1e-6), eligible)


def chances_of_highest(mean: FloatArray, sd: FloatArray, eligible: BoolArray | None) -> FloatArray:
    """(K,): of independent normal numbers, the chance of each to be the highest."""
    may = np.ones(len(mean), bool) if eligible is None else eligible
    m, s = mean[may], sd[may]
    low, high = float((m - _REACH * s).max()), float((m + _REACH * s).max())
    points = np.linspace(low, high, _N_POINTS)
    z = (points[:, None] - m) / s
    below = np.clip(_normal_cdf(z), 1e-300, 1.0)
    density = np.exp(-0.5 * z * z) / s
    logs = np.log(below)
    mass = density * np.exp(logs.sum(axis=1, keepdims=True) - logs)
    found = np.zeros(len(mean))
    found[may] = mass.sum(axis=0) + 1e-12
    return np.asarray(found / found.sum())


def _normal_cdf(z: FloatArray) -> FloatArray:
    """Abramowitz and Stegun (1964), 7.1.26: off by at most 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(z) / np.sqrt(2))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    upper = 0.5 * poly * np.exp(-0.5 * z * z)
    return np.asarray(np.where(z > 0, 1 - upper, upper))
