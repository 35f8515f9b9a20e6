"""The strategy with the highest predicted quality less what its calls cost: the maths of routing."""

from __future__ import annotations

import numpy as np

from suffice.gating.base import BaseGate
from suffice.gating.table import Strategies
from suffice.types import FloatArray, IntArray


class UtilityGate(BaseGate):
    """argmax of score - pay, before anything was asked; a strategy without a score comes last."""

    name = "utility"

    def _choose(self, scores: FloatArray) -> IntArray:
        usable = np.where(np.isnan(scores), -np.inf, scores)
        return np.asarray((usable - self.expected_pay()).argmax(axis=1))

    def needs_retrieval(self, table: Strategies, scores: FloatArray) -> FloatArray:
        return 1.0 - self._given(table, scores)[:, 0]
