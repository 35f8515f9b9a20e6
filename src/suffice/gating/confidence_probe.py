"""Answer from memory first; look things up where that answer is not trusted.

References
----------
Moskvoretskii et al. (2025), Adaptive Retrieval Without Self-Knowledge? (AdaRAGUE), arXiv 2501.12835: any
uncertainty of the closed-book answer, thresholded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.cascades import Move, Seen, accept, ask
from suffice.errors import ConfigError
from suffice.gating.base import BaseGate, Pay
from suffice.gating.cuts import budgeted, searched
from suffice.gating.table import Strategies
from suffice.types import FloatArray, Query


class ConfidenceProbe(BaseGate):
    """Keeps the closed-book answer where its signal says so; else the best other strategy."""

    name = "confidence_probe"

    looks_at_answers = True
    gives_after = 2

    def __init__(
        self,
        *,
        signal: str,
        higher_is_surer: bool = True,
        n_cuts: int = 200,
        threshold: float | None = None,
        share: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        signal : a reading of the closed-book answer, in any unit
        higher_is_surer : False for a perplexity or an entropy
        n_cuts : thresholds tried, at quantiles of the readings
        threshold : of the signal; a less sure answer is not trusted. None: learnt
        share : of queries that may be looked up; the threshold is then that quantile of the readings

        Raises
        ------
        ConfigError
            If both are given, or the share is none.
        """
        if share is not None and threshold is not None:
            raise ConfigError("threshold and share are both given; leave one out")
        if share is not None and not 0 <= share <= 1:
            raise ConfigError(f"share: {share} is no number from 0 to 1")
        self.signal, self.higher_is_surer, self.n_cuts = signal, higher_is_surer, n_cuts
        self.threshold, self.share = threshold, share
        self.signals = (signal,)

    def _fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> None:
        value = table.quality - pay.of(table)
        self.other_ = 1 + int(value[:, 1:].mean(axis=0).argmax())
        sure = self._sureness(table.readings[self.signal][:, 0])
        cost = pay.of(table)[:, 0]  # has been paid when the answer is there
        self.cut_ = self._given_cut()
        if self.share is not None:
            self.cut_ = budgeted(sure, self.share)
        elif self.threshold is None:
            self.cut_ = searched(sure, value[:, 0], value[:, self.other_] - cost, self.n_cuts)

    def _given_cut(self) -> float:
        """In the direction of sureness; 0 where none was given."""
        given = 0.0 if self.threshold is None else self.threshold
        return given if self.higher_is_surer else -given

    def _by_hand(self) -> None:
        if self.threshold is None and self.share is None:
            raise ConfigError(f"the gate {self.name!r} needs `threshold` or `share`, or to be trained")
        self.cut_, self.other_ = self._given_cut(), 1

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
        return {"params": dict(self._params()), "other": self.other_, "cut": self.cut_}, {}

    def _params(self) -> Mapping[str, Any]:
        """Of the constructor; the cut is kept as it was found."""
        return {"signal": self.signal, "higher_is_surer": self.higher_is_surer, "n_cuts": self.n_cuts}

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.other_, self.cut_ = range(len(self.arms))[facts["other"]], float(facts["cut"])
