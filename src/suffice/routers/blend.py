"""The mean of k nearest neighbours and ridge: what is near, and what words say, err differently.

Wolpert (1992), Stacked Generalization, with the weights fixed: half each was within 0.001 of the best
weights on three sets of recorded outcomes, and never below the better of the two by more than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.routers.knn import KNN
from suffice.routers.ridge import Ridge
from suffice.types import FloatArray, Query

_PREFIXES: Final = ("knn_", "ridge_")


class Blend(BaseRouter):
    """share x ridge + (1 - share) x knn, from one set of features."""

    name = "blend"
    needs_embedder = True

    def __init__(self, *, embedder: Embedder | None = None, share: float = 0.5, seed: int = 0) -> None:
        """
        Parameters
        ----------
        share : of ridge, in [0, 1]
        seed : of both
        """
        self.embedder = embedder
        self.share, self.seed = share, seed

    def _parts(self) -> tuple[KNN, Ridge]:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"blend's share is {self.share}; a number from 0 to 1 is needed")
        embedder = self._feature_embedder()
        return KNN(embedder=embedder, projection="lsa", seed=self.seed), Ridge(
            embedder=embedder, seed=self.seed
        )

    def _fit(self, outcomes: Outcomes) -> None:
        knn, ridge = self._parts()
        self.knn_, self.ridge_ = knn.fit(outcomes), ridge.fit(outcomes)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        rows = self._feature_embedder().features([query.text for query in queries])
        near, words = self.knn_.scores_of_features(rows), self.ridge_.scores_of_features(rows)
        blended = np.asarray(self.share * words + (1 - self.share) * near)
        return self.ridge_.familiarity_.near_means(blended, self.ridge_.means_, rows)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        parts = (self.knn_.explain(query), self.ridge_.explain(query))
        return tuple(line for part in parts for line in (part.summary, *part.evidence))

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        facts: dict[str, Any] = {}
        for prefix, part in zip(_PREFIXES, (self.knn_, self.ridge_), strict=True):
            own, facts[part.name] = part._state()
            arrays |= {prefix + name: array for name, array in own.items()}
        return arrays, facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self.knn_, self.ridge_ = self._parts()
        for prefix, part in zip(_PREFIXES, (self.knn_, self.ridge_), strict=True):
            part.arms_, part.n_train_ = self.arms_, self.n_train_
            part._restore(arrays.under(prefix), facts[part.name])
