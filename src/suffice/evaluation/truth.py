"""What every model truly did on a set of queries: the ground that curves are measured on."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.types import FloatArray

_TOLERANCE = 1e-12
"""Means of the same numbers summed in another order differ by about this much."""


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """Measured quality and cost without a gap."""

    models: tuple[str, ...]
    quality: FloatArray
    """(n, K) in [0, 1]."""
    cost_usd: FloatArray | None
    """(n, K); None where costs are not known."""

    @property
    def mean_quality(self) -> FloatArray:
        """(K,)"""
        return np.asarray(self.quality.mean(axis=0))

    @property
    def mean_cost(self) -> FloatArray:
        """(K,) USD per query; NaN where costs are not known."""
        if self.cost_usd is None:
            return np.full(len(self.models), np.nan)
        return np.asarray(self.cost_usd.mean(axis=0))

    @property
    def best_single(self) -> int:
        """The model of highest mean quality; of equals the cheaper, then the first."""
        quality = self.mean_quality
        equals = np.flatnonzero(quality >= quality.max() - _TOLERANCE)
        return int(equals[np.argmin(np.nan_to_num(self.mean_cost[equals]))])

    @property
    def cheapest(self) -> int:
        """The model of lowest mean cost, the first where costs are not known."""
        return int(np.argmin(np.nan_to_num(self.mean_cost)))

    def cost_range(self) -> tuple[float, float] | None:
        """Mean cost per query of the cheapest and of the best single model: the range of AIQ."""
        if self.cost_usd is None:
            return None
        return float(self.mean_cost[self.cheapest]), float(self.mean_cost[self.best_single])

    def quality_of(self, chosen: NDArray[np.integer[Any]]) -> FloatArray:
        """Quality of one chosen model per query, for choices of shape (..., n)."""
        return np.asarray(self.quality[np.arange(len(self.quality)), chosen])

    def cost_of(self, chosen: NDArray[np.integer[Any]]) -> FloatArray:
        """True cost of one chosen model per query, for choices of shape (..., n); NaN if not known."""
        if self.cost_usd is None:
            return np.full(np.shape(chosen), np.nan)
        return np.asarray(self.cost_usd[np.arange(len(self.quality)), chosen])
