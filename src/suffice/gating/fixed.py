"""The two gates that do not look at the query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.errors import UnknownName
from suffice.gating.base import BaseGate, Pay
from suffice.gating.table import Strategies
from suffice.types import FloatArray, IntArray


class Never(BaseGate):
    """Always the strategy that looks up least."""

    name = "never"

    def _by_hand(self) -> None:
        """Nothing to know."""

    def _choose(self, scores: FloatArray) -> IntArray:
        return np.zeros(len(scores), np.intp)


class Always(BaseGate):
    """The same strategy for every query: the one named, or the best on the training queries."""

    name = "always"

    def __init__(self, *, strategy: str | None = None) -> None:
        """
        Parameters
        ----------
        strategy : None takes the one with the highest mean quality less what its calls cost, or without a
            fit the first that looks things up
        """
        self.strategy = strategy

    def _fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> None:
        if self.strategy is not None and self.strategy not in table.arms:
            raise UnknownName("strategy", self.strategy, table.arms)
        best = int((table.quality - pay.of(table)).mean(axis=0).argmax())
        self.arm_ = best if self.strategy is None else table.arms.index(self.strategy)

    def _by_hand(self) -> None:
        if self.strategy is not None and self.strategy not in self.arms:
            raise UnknownName("strategy", self.strategy, self.arms)
        self.arm_ = 1 if self.strategy is None else self.arms.index(self.strategy)

    def _choose(self, scores: FloatArray) -> IntArray:
        return np.full(len(scores), self.arm_, np.intp)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {"arm": self.arm_}, {}

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arm_ = range(len(self.arms))[facts["arm"]]
