"""k nearest neighbours: an arm is as good here as it was on the most similar training queries.

Hu et al. (2024), RouterBench, section 4 (kNN router); Rethinking Predictive Modeling for LLM Routing
(2025), where well-tuned kNN matches learned routers. Departure: a weighted mean of the neighbours'
quality, shrunk towards the arm's mean, rather than a vote for the best arm, so that every arm gets a
score that can be weighed against its cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder, has_features
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.lsa import Lsa
from suffice.routers.neighbours import NeighbourIndex, build_index
from suffice.types import FloatArray, Query

_BLOCK: Final = 256
"""Queries scored at once: bounds the memory that a batch takes."""


class KNN(BaseRouter):
    """Weighted mean quality over the nearest training queries by cosine."""

    name = "knn"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        k: int = 60,
        shrinkage: float = 3.0,
        power: float = 1.0,
        projection: Literal["auto", "lsa", "none"] = "auto",
        dimensions: int = 64,
        index: Literal["auto", "exact", "approximate"] = "auto",
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        k : neighbours, at least 1
        shrinkage : weight of the arm's mean, counted in neighbours
        power : neighbours weigh max(cosine, 0) ** power; 0 weighs all the same
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        index : "approximate" needs the extra [ann]; "auto" takes it beyond 100,000 queries
        seed : of the projection
        """
        self.embedder = embedder
        self.k, self.shrinkage, self.power = k, shrinkage, power
        self.projection, self.dimensions, self.index, self.seed = projection, dimensions, index, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        texts = [query.text for query in outcomes.queries]
        self.lsa_: Lsa | None = None
        if self._uses_lsa():
            rows = self._feature_embedder().features(texts)
            self.lsa_ = Lsa.learn(rows, dimensions=self.dimensions, seed=self.seed)
            vectors = self.lsa_.project(rows)
        else:
            vectors = self._embedder().embed(texts)
        self._keep(vectors, np.asarray(outcomes.quality, np.float32))

    def _keep(self, vectors: NDArray[np.float32], quality: NDArray[np.float32]) -> None:
        is_known = ~np.isnan(quality)
        self.index_: NeighbourIndex = build_index(vectors, self.index)
        self.means_ = arm_means(quality.astype(np.float64))
        self.quality_ = np.where(is_known, quality, np.float32(0))
        self.is_known_ = None if is_known.all() else is_known

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors = self._vectors([query.text for query in queries])
        if len(vectors) <= _BLOCK:
            return self._block(vectors)
        blocks = [self._block(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return np.concatenate(blocks)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.lsa_ is None:
            return self._embedder().embed(texts)
        return self.lsa_.project(self._feature_embedder().features(texts))

    def _block(self, vectors: NDArray[np.float32]) -> FloatArray:
        """Scores of a block: (sum of w q + shrinkage x mean) / (sum of w + shrinkage), known q only."""
        near, cosines = self.index_.nearest(vectors, self.k)
        weights = np.maximum(cosines, 0) ** np.float32(self.power)
        sums = np.matmul(weights[:, None, :], self.quality_[near])[:, 0].astype(np.float64)
        if self.is_known_ is None:
            totals = weights.sum(axis=1, keepdims=True).astype(np.float64)
        else:
            totals = np.matmul(weights[:, None, :], self.is_known_[near].astype(np.float32))[:, 0].astype(
                np.float64
            )
        pull = max(self.shrinkage, 1e-6)  # an arm without neighbours has its mean
        return np.asarray((sums + pull * self.means_) / (totals + pull))

    def _evidence(self, query: Query) -> tuple[str, ...]:
        near, cosines = self.index_.nearest(self._vectors([query.text]), min(self.k, 3))
        return tuple(
            f"training query {row}, cosine {cosine:.3f}"
            for cosine, row in sorted(zip(cosines[0], near[0], strict=True), reverse=True)
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        quality = self.quality_.copy()
        if self.is_known_ is not None:
            quality[~self.is_known_] = np.nan
        arrays = {"vectors": self.index_.vectors, "quality": quality}
        if self.lsa_ is not None:
            arrays |= {"lsa_columns": self.lsa_.columns, "lsa_components": self.lsa_.components}
        return arrays, {}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        width = self._embedder().dimensions
        self.lsa_ = None
        if arrays.has("lsa_columns"):
            self._feature_embedder()
            width = self.dimensions
            columns = arrays.take("lsa_columns", "i", (None,))
            self.lsa_ = Lsa(columns, arrays.take("lsa_components", "f", (len(columns), width)))
        vectors = arrays.take("vectors", "f", (self.n_train_, width))
        quality = arrays.take("quality", "f", (self.n_train_, len(self.arms_)), finite=False)
        self._keep(vectors, quality)

    def _uses_lsa(self) -> bool:
        if self.projection == "auto":
            return has_features(self._embedder())
        return self.projection == "lsa"

    def _check_params(self) -> None:
        if self.k < 1 or self.shrinkage < 0 or self.power < 0 or self.dimensions < 1:
            raise ConfigError(
                f"knn with k {self.k}, shrinkage {self.shrinkage}, power {self.power}, dimensions "
                f"{self.dimensions}; k and dimensions from 1, the others from 0 are needed"
            )
        if self.projection not in ("auto", "lsa", "none"):
            raise ConfigError(f"knn's projection is {self.projection!r}; one of auto, lsa, none is needed")
