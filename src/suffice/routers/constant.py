"""Baselines that score every query alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.types import Candidate, FloatArray, Query


class ConstantRouter(BaseRouter):
    """One score per arm, from outcomes or, before there are any, from what is known of candidates."""

    scores_: FloatArray
    """(K,)"""
    reason_: str

    def from_candidates(self, candidates: Sequence[Candidate]) -> Self:
        """Ready without outcomes; the arms are the candidates' names.

        Raises
        ------
        ConfigError
            If there are no candidates, or the parameters do not fit them.
        """
        if not candidates:
            raise ConfigError(f"the router {self.name!r} was given no candidates; at least one is needed")
        self.scores_, self.reason_ = self._of_candidates(candidates)
        self.arms_, self.n_train_ = tuple(candidate.name for candidate in candidates), 0
        self.mean_quality_ = {}
        return self

    @abstractmethod
    def _of_outcomes(self, outcomes: Outcomes) -> tuple[FloatArray, str]:
        """(K,) scores, and on what they rest."""

    @abstractmethod
    def _of_candidates(self, candidates: Sequence[Candidate]) -> tuple[FloatArray, str]: ...

    def _fit(self, outcomes: Outcomes) -> None:
        self.scores_, self.reason_ = self._of_outcomes(outcomes)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        return np.tile(self.scores_, (len(queries), 1))

    def _evidence(self, query: Query) -> tuple[str, ...]:
        return (self.reason_,)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {"scores": self.scores_}, {"reason": self.reason_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self.scores_ = arrays.take("scores", "f", (len(self.arms_),), finite=False)
        self.reason_ = str(facts["reason"])


def falling_scores(keys: FloatArray) -> FloatArray:
    """(K,) from 1 for the lowest key down to 0 for the highest; equal keys alike, NaN highest.

    Examples
    --------
    >>> falling_scores(np.array([3.0, 1.0, np.nan])).tolist()
    [0.5, 1.0, 0.0]
    """
    known = np.where(np.isnan(keys), np.inf, keys)
    levels, ranks = np.unique(known, return_inverse=True)
    return 1 - ranks / max(len(levels) - 1, 1)
