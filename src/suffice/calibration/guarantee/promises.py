"""What may be promised, each as a loss whose mean must stay below a limit.

A rule sends a query to the cheap model where its score reaches a threshold, else to the strong one. For row i
with qualities w (cheap) and s (strong), kept = 1 where the cheap one answers:

| promise | loss L | held if | epsilon |
|---|---|---|---|
| mean-drop | kept (s - w) | E[L] <= epsilon | the mean quality given up; gains offset losses |
| regressions | kept max(0, s - w) | E[L] <= epsilon | the mean lost where the cheap one is worse |
| selective | 1 - w | E[L given kept] <= epsilon | error among the answers of the cheap model |
| ratio | (1 + rho s - q) / (1 + rho), q = what the rule gets | E[L] <= 1 / (1 + rho) | 1 - rho |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import numpy as np

from suffice.calibration.checks import FloatArray
from suffice.errors import UnknownName


class Promise(ABC):
    """How far a row exceeds the limit, and how far it could."""

    name: ClassVar[str]
    is_count: ClassVar[bool] = False
    """Whether right-or-wrong qualities make it a number of failures, which has an exact test."""
    in_unit: ClassVar[bool] = True
    """Whether the loss lies in [0, 1]."""
    is_conditional: ClassVar[bool] = False
    """Whether the mean is over the rows that the cheap model answers, not over all."""

    def losses(self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float) -> FloatArray:
        """(n, m) losses for kept (n, m) of 0 and 1; weak (n,), or (n, m) where it differs by rule."""
        cheap = weak if weak.ndim == 2 else weak[:, None]
        return self._losses(cheap, strong[:, None], kept, epsilon)

    def limit(self, epsilon: float) -> float:
        """What the mean loss may be."""
        return epsilon

    def weights(self, kept: FloatArray) -> FloatArray:
        """(n, m): 1 for rows that the mean is taken over."""
        return kept if self.is_conditional else np.ones_like(kept)

    def excess(self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float) -> FloatArray:
        """(n, m) whose mean is at most 0 where the promise holds, and above where it does not."""
        return self.weights(kept) * (self.losses(weak, strong, kept, epsilon) - self.limit(epsilon))

    @abstractmethod
    def _losses(
        self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float
    ) -> FloatArray: ...


class MeanDrop(Promise):
    name = "mean-drop"
    in_unit = False

    def _losses(self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float) -> FloatArray:
        return kept * (strong - weak)


class Regressions(Promise):
    name = "regressions"
    is_count = True

    def _losses(self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float) -> FloatArray:
        return kept * np.maximum(0.0, strong - weak)


class Selective(Promise):
    name = "selective"
    is_count = True
    is_conditional = True

    def _losses(self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float) -> FloatArray:
        return kept * (1.0 - weak)


class Ratio(Promise):
    name = "ratio"

    def limit(self, epsilon: float) -> float:
        return 1.0 / (2.0 - epsilon)

    def _losses(self, weak: FloatArray, strong: FloatArray, kept: FloatArray, epsilon: float) -> FloatArray:
        got = kept * weak + (1.0 - kept) * strong
        return (1.0 + (1.0 - epsilon) * strong - got) / (2.0 - epsilon)


PROMISES: Final = {kind.name: kind() for kind in (MeanDrop, Regressions, Selective, Ratio)}


def promise_of(name: str) -> Promise:
    """By name.

    Raises
    ------
    UnknownName
        If there is none.
    """
    if name not in PROMISES:
        raise UnknownName("promise", name, PROMISES)
    return PROMISES[name]
