"""Optimism: the arm whose reward could be highest, within a few standard errors.

References
----------
Li et al. (2010), arXiv 1003.0146, algorithm 1 (LinUCB with disjoint linear models).
"""

from __future__ import annotations

from suffice.bandits.base import Vector, best
from suffice.bandits.linear import LinearBandit
from suffice.types import BoolArray, FloatArray


class LinUCB(LinearBandit):
    """argmax of mean + alpha * standard error - price * cost."""

    name = "linucb"

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> int:
        mean, width = self._estimates(x)
        return best(mean + width, penalty, eligible)
