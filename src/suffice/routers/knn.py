"""k nearest neighbours: an arm is as good here as it was on the most similar training queries.

Hu et al. (2024), RouterBench, section 4 (kNN router); Rethinking Predictive Modeling for LLM Routing
(2025), where well-tuned kNN matches learned routers. Departure: a weighted mean of the neighbours'
quality rather than a vote for the best arm, so that every arm gets a score that can be weighed against
its cost; and how many neighbours to ask and how far to follow them, rather than the arms' means, is
settled by leaving training queries out.
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
from suffice.routers.draws import text_draws
from suffice.routers.lsa import Lsa
from suffice.routers.neighbours import NeighbourIndex, build_index
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.types import FloatArray, Query, SparseFeatures

_BLOCK: Final = 256
"""Queries scored at once: bounds the memory that a batch takes."""
_GRID: Final = (15, 30, 60, 120, 240)
_MAX_LEFT_OUT: Final = 2048
"""Training queries on which k and slopes are chosen: more change them little."""
_LEAST_PULL: Final = 1e-6
"""So that an arm without neighbours has its mean."""
_ZERO: Final = np.array(0, np.float32)


class KNN(BaseRouter):
    """Weighted mean quality over the nearest training queries by cosine."""

    name = "knn"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        k: int | None = None,
        pull: float = 3.0,
        power: float = 2.0,
        projection: Literal["auto", "lsa", "none"] = "auto",
        dimensions: int = 64,
        index: Literal["auto", "exact", "approximate"] = "auto",
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        k : neighbours, at least 1; None chooses from 15, 30, 60, 120 and 240
        pull : weight of the arm's mean beside its neighbours', counted in neighbours
        power : neighbours weigh max(cosine, 0) ** power; 0 weighs all the same
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        index : "approximate" reads only the likeliest training queries; "auto" does beyond 8,000
        seed : of the projection, and of the sample of training queries that are left out
        """
        self.embedder = embedder
        self.k, self.pull, self.power = k, pull, power
        self.projection, self.dimensions, self.index, self.seed = projection, dimensions, index, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        texts = outcomes.texts
        self.lsa_: Lsa | None = None
        if self._uses_lsa():
            self.lsa_, vectors = Lsa.of_texts(
                texts, self._feature_embedder(), dimensions=self.dimensions, seed=self.seed
            )
        else:
            vectors = self._embedder().embed(texts)
        self._keep(vectors, np.asarray(outcomes.quality, np.float32))
        self._settle(*self._choose(text_draws(texts, self.seed)))

    def _choose(self, draws: NDArray[np.uint64]) -> tuple[int, float, FloatArray]:
        """k, the slope of the shared part and the mixing of the arms' own, from queries left out in turn."""
        grid = sorted({min(k, len(draws)) for k in (_GRID if self.k is None else (self.k,))})
        n_arms = len(self.means_)
        held_out = HeldOut(len(grid), 1 + n_arms)
        sample = np.argsort(draws, kind="stable")[:_MAX_LEFT_OUT]
        left_out = self.index_.vectors[sample]
        for start in range(0, len(sample), _BLOCK):
            rows = sample[start : start + _BLOCK]
            near, cosines = self.index_.nearest(left_out[start : start + _BLOCK], grid[-1])
            order = np.argsort(-cosines, axis=1, kind="stable")
            near = np.take_along_axis(near, order, axis=1)
            cosines = np.take_along_axis(cosines, order, axis=1)
            cosines[draws[near] == draws[rows, None]] = 0  # the query itself, and its copies
            quality = self.quality_[rows].astype(np.float64)
            if self.is_known_ is not None:
                quality[~self.is_known_[rows]] = np.nan
            shared, own, is_known = shared_and_own(quality - self.means_)
            targets = np.hstack((shared, own)).T
            for setting, k in enumerate(grid):
                common, apart = self._parts(near[:, :k], cosines[:, :k])
                predicted = np.hstack((common, np.where(is_known, apart, 0.0))).T
                held_out.add(setting, predicted, targets)
        parts = (slice(0, 1), slice(1, None))
        best = held_out.best(parts[min(n_arms - 1, 1)])
        return grid[best], held_out.slope(best, parts[0]), held_out.mixing(best, parts[1])

    def _keep(
        self,
        vectors: NDArray[np.float32],
        quality: NDArray[np.float32],
        order: NDArray[np.int32] | None = None,
    ) -> None:
        is_known = ~np.isnan(quality)
        self.index_: NeighbourIndex = build_index(vectors, self.index, order)
        self.means_ = arm_means(quality.astype(np.float64))
        has_data = ~np.isnan(self.means_)
        self.known_means_ = np.where(has_data, self.means_, 0.0).astype(np.float32)
        self.arm_shares_ = (has_data / max(int(has_data.sum()), 1))[:, None]  # of the mean over arms
        self.quality_ = np.where(is_known, quality, np.float32(0))
        self.is_known_ = None if is_known.all() else is_known

    def _settle(self, k: int, slope: float, mixing: FloatArray) -> None:
        """What was chosen, and, in one matrix, what it makes of neighbours' residuals (n, K)."""
        self.k_, self.slope_, self.mixing_ = k, slope, mixing
        own = np.eye(len(mixing)) - self.arm_shares_
        believed = slope * np.broadcast_to(self.arm_shares_, mixing.shape) + own @ mixing
        self.believed_ = believed.astype(np.float32)
        self.told_: NDArray[np.float32] | None = None  # (n, K): by one neighbour of weight 1
        if self.is_known_ is None:
            self.told_ = (self.quality_ - self.known_means_) @ self.believed_

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        texts = [query.text for query in queries]
        if self.lsa_ is None:
            return self._of_vectors(self._embedder().embed(texts))
        rows = self._feature_embedder().features(texts)
        return self.lsa_.familiarity.near_means(self.scores_of_features(rows), self.means_, rows)

    def scores_of_features(self, features: SparseFeatures) -> FloatArray:
        """(n, K), not clipped, however unfamiliar; from sparse features, which need the projection "lsa"."""
        if self.lsa_ is None:
            raise ConfigError('knn was trained with projection "none": features need "lsa"')
        return self._of_vectors(self.lsa_.project(features))

    def _of_vectors(self, vectors: NDArray[np.float32]) -> FloatArray:
        if len(vectors) <= _BLOCK:
            return self._block(vectors)
        blocks = [self._block(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return np.concatenate(blocks)

    def _block(self, vectors: NDArray[np.float32]) -> FloatArray:
        return self._vote(*self.index_.nearest(vectors, self.k_))

    def _vote(self, near: NDArray[np.intp], cosines: NDArray[np.float32]) -> FloatArray:
        if len(near) > 1 or self.told_ is None:
            return np.asarray(self.means_ + self._residuals(near, cosines) @ self.believed_)
        weights = self._weights(cosines[0])  # a decision
        told = weights @ self.told_.take(near[0], axis=0)
        told *= 1 / (float(np.add.reduce(weights)) + max(self.pull, _LEAST_PULL))
        return np.asarray(self.means_ + told)[None]

    def _weights(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        weights = np.maximum(cosines, _ZERO)
        if self.power == 2:
            return np.multiply(weights, weights, out=weights)
        return np.power(weights, np.float32(self.power), out=weights)

    def _parts(self, near: NDArray[np.intp], cosines: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """Of the residuals, what the arms share (n, 1) and what is their own (n, K)."""
        residuals = self._residuals(near, cosines).astype(np.float64)
        shared = residuals @ self.arm_shares_
        return shared, residuals - shared

    def _residuals(self, near: NDArray[np.intp], cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, K): what neighbours (n, k) say, relative to the arms' means.

        With weights w of neighbours of known quality q it is sum w (q - mean) / (sum w + pull).
        """
        weights = self._weights(cosines)
        quality = self.quality_.take(near, axis=0)  # twice as fast as indexing
        sums = np.matmul(weights[:, None, :], quality)[:, 0]
        if self.is_known_ is None:
            totals = np.add.reduce(weights, axis=1, keepdims=True)
        else:
            is_known = self.is_known_.take(near, axis=0).astype(np.float32)
            totals = np.matmul(weights[:, None, :], is_known)[:, 0]
        sums -= totals * self.known_means_
        sums /= totals + np.float32(max(self.pull, _LEAST_PULL))
        return np.asarray(sums, np.float32)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        known: tuple[str, ...] = ()
        if self.lsa_ is None:
            vectors = self._embedder().embed([query.text])
        else:
            rows = self._feature_embedder().features([query.text])
            vectors, known = self.lsa_.project(rows), (self.lsa_.familiarity.evidence(rows),)
        near, cosines = self.index_.nearest(vectors, min(self.k_, 3))
        return known + tuple(
            f"training query {row}, cosine {cosine:.3f}"
            for cosine, row in sorted(zip(cosines[0], near[0], strict=True), reverse=True)
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        quality = self.quality_.copy()
        if self.is_known_ is not None:
            quality[~self.is_known_] = np.nan
        arrays: dict[str, NDArray[Any]] = {
            "vectors": self.index_.vectors,
            "quality": quality,
            "mixing": self.mixing_,
        }
        if self.index_.order is not None:
            arrays["order"] = self.index_.order
        if self.lsa_ is not None:
            arrays |= self.lsa_.state()
        return arrays, {"k": self.k_, "slope": self.slope_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        width = self._embedder().dimensions
        self.lsa_ = None
        if arrays.has("lsa_columns"):
            self._feature_embedder()
            width = self.dimensions
            self.lsa_ = Lsa.restore(arrays, width)
        vectors = arrays.take("vectors", "f", (self.n_train_, width))
        quality = arrays.take("quality", "f", (self.n_train_, len(self.arms_)), finite=False)
        order = arrays.take("order", "i", (self.n_train_,)) if arrays.has("order") else None
        self._keep(vectors, quality, order)
        mixing = arrays.take("mixing", "f", (len(self.arms_), len(self.arms_)))
        self._settle(int(facts["k"]), float(facts["slope"]), mixing)

    def _uses_lsa(self) -> bool:
        if self.projection == "auto":
            return has_features(self._embedder())
        return self.projection == "lsa"

    def _check_params(self) -> None:
        if (self.k is not None and self.k < 1) or self.pull < 0 or self.power < 0 or self.dimensions < 1:
            raise ConfigError(
                f"knn with k {self.k}, pull {self.pull}, power {self.power}, dimensions "
                f"{self.dimensions}; k and dimensions from 1, the others from 0 are needed"
            )
        if self.projection not in ("auto", "lsa", "none"):
            raise ConfigError(f"knn's projection is {self.projection!r}; one of auto, lsa, none is needed")
