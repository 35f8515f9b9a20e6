"""Answer from memory first; look things up where that answer is not trusted.

References
----------
Moskvoretskii et al. (2025), Adaptive Retrieval Without Self-Knowledge? (AdaRAGUE), arXiv 2501.12835: any
uncertainty of the closed-book answer, thresholded. Mallen et al. (2023), When Not to Trust Language Models,
section 6: the threshold by search on labelled queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.cascades import Move, Seen, accept, ask
from suffice.gating.base import BaseGate, Pay
from suffice.gating.table import Strategies
from suffice.types import FloatArray, Query


class ConfidenceProbe(BaseGate):
    """Keeps the closed-book answer where its signal says so; else the best other strategy."""

    name = "confidence_probe"

    def __init__(self, *, signal: str, higher_is_surer: bool = True, n_cuts: int = 200) -> None:
        """
        Parameters
        ----------
        signal : a reading of the closed-book answer, in any unit
        higher_is_surer : False for a perplexity or an entropy
        n_cuts : thresholds tried, at quantiles of the readings
        """
        self.signal, self.higher_is_surer, self.n_cuts = signal, higher_is_surer, n_cuts
        self.signals = (signal,)

    def _fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> None:
        value = table.quality - pay.of(table)
        self.other_ = 1 + int(value[:, 1:].mean(axis=0).argmax())
        sure = self._sureness(table.readings[self.signal][:, 0])
        known = sure[np.isfinite(sure)]
        inner = np.quantile(known, np.linspace(0, 1, self.n_cuts)) if len(known) else np.zeros(0)
        cuts = np.unique(np.concatenate([[-np.finfo(float).max, np.finfo(float).max], inner]))
        cost = pay.of(table)[:, 0]  # has been paid when the answer is there
        kept = value[:, 0]
        gone = value[:, self.other_] - cost
        means = [np.where(sure >= cut, kept, gone).mean() for cut in cuts]
        self.cut_ = float(cuts[int(np.argmax(means))])

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """Closed book, then perhaps the other."""
        if not seen:
            return ask(0, "closed book first")
        if len(seen) > 1:
            return accept(1, "after the look-up")
        reading = seen[0].readings.get(self.signal)
        if reading is None:
            return ask(self.other_, f"{self.signal} could not be read")
        sure = float(self._sureness(np.array([reading]))[0])
        if sure >= self.cut_:
            return accept(0, f"{self.signal} {reading:.3g}: kept")
        return ask(self.other_, f"{self.signal} {reading:.3g}: not trusted")

    def needs_retrieval(self, table: Strategies, scores: FloatArray) -> FloatArray:
        self._given(table, scores)
        return -self._sureness(table.readings[self.signal][:, 0])

    def _sureness(self, readings: FloatArray) -> FloatArray:
        """Higher is surer; what could not be read is least sure."""
        turned = readings if self.higher_is_surer else -readings
        return np.where(np.isnan(turned), -np.inf, turned)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        params = {"signal": self.signal, "higher_is_surer": self.higher_is_surer, "n_cuts": self.n_cuts}
        return {"params": params, "other": self.other_, "cut": self.cut_}, {}

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.other_, self.cut_ = range(len(self.arms))[facts["other"]], float(facts["cut"])
