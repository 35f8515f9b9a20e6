"""k-means: an arm is as good here as it was on the training queries of the nearest clusters.

Zhang et al. (2025), Avengers-Pro, arXiv 2508.12631, section 3: unit vectors, k-means, the mean quality
of every arm in every cluster, and a query's nearest clusters weighed by softmax(-beta distance).
Jitkrittum et al. (2025), UniRoute, arXiv 2502.08773, section 5: a model is its vector of errors over
clusters, so that a new one needs labels on a few queries only and nothing is trained again.

Departures: a cluster's mean is pulled to the arm's own, and how many clusters there are and how far
they are believed is settled on queries held out. Avengers-Pro's blend of normalised quality with
normalised cost is left out: prices stay outside routers, the policy weighs scores against costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.added import AddedArm, shrunk_slope
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.clustering import cluster_sums, kmeans, soft_weights, squared_distances
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import towards_means
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, Query

_GRID: Final = (8, 16, 32, 64)
_N_FOLDS: Final = 5
_LEAST_PULL: Final = 1e-6


class KMeans(BaseRouter):
    """Mean quality over the clusters nearest to the query."""

    name = "kmeans"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        k: int | None = None,
        nearest: int = 4,
        beta: float = 9.0,
        pull: float = 8.0,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        k : clusters, at least 1; None chooses from 8, 16, 32 and 64
        nearest : how many clusters a query is scored by, at least 1 (Avengers-Pro's top p)
        beta : clusters weigh exp(-beta distance), from 0
        pull : weight of the arm's mean beside a cluster's, counted in queries, from 0
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection and of the clusters
        """
        self.embedder = embedder
        self.k, self.nearest, self.beta, self.pull = k, nearest, beta, pull
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        texts = outcomes.texts
        self.vectors_, vectors = TextVectors.learn(
            texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        quality = np.asarray(outcomes.quality, np.float64)
        self.means_ = arm_means(quality)
        residuals = quality - self.means_
        draws = text_draws(texts, self.seed)
        sizes = sorted({min(k, len(vectors)) for k in (_GRID if self.k is None else (self.k,))})
        held_out = HeldOut(len(sizes), 1 + len(self.means_))
        clusters = [kmeans(vectors, draws, size, seed=self.seed) for size in sizes]
        for setting, centres in enumerate(clusters):
            self._hold_out(held_out, setting, vectors, residuals, draws, centres)
        parts = (slice(0, 1), slice(1, None))
        best = held_out.best(parts[min(len(self.means_) - 1, 1)])
        slopes = [held_out.slope(best, part) for part in parts]
        self.centres_ = clusters[best]
        labels = squared_distances(vectors, self.centres_).argmin(axis=1)
        self.sizes_ = np.bincount(labels, minlength=len(self.centres_))
        known = ~np.isnan(self.means_)
        self.own_slope_ = slopes[1]
        means = self._cluster_means(residuals, labels, len(self.centres_))
        shared = means[:, known].mean(axis=1, keepdims=True)
        self.shared_ = slopes[0] * shared[:, 0]
        self.table_ = self.shared_[:, None] + slopes[1] * (means - shared)

    def _hold_out(
        self,
        held_out: HeldOut,
        setting: int,
        vectors: NDArray[np.float32],
        residuals: FloatArray,
        draws: NDArray[np.uint64],
        centres: NDArray[np.float32],
    ) -> None:
        """Each fold from the other folds' cluster means; the clusters are those of all, unlabelled."""
        shared, own, is_known = shared_and_own(residuals)
        weights = self._weights(vectors, centres)
        labels = squared_distances(vectors, centres).argmin(axis=1)
        has_data = ~np.isnan(self.means_)
        folds = draws % np.uint64(_N_FOLDS)
        for fold in range(_N_FOLDS):
            inside, held = folds != fold, folds == fold
            if not inside.any() or not held.any():
                continue
            means = self._cluster_means(residuals[inside], labels[inside], len(centres))
            common = means[:, has_data].mean(axis=1, keepdims=True)
            predicted = weights[held] @ np.hstack((common, means - common))
            predicted[:, 1:][~is_known[held]] = 0
            held_out.add(setting, predicted.T, np.hstack((shared[held], own[held])).T)

    def _cluster_means(self, residuals: FloatArray, labels: NDArray[np.intp], n_clusters: int) -> FloatArray:
        """(k, C): mean known residual in every cluster, pulled to 0."""
        is_known = ~np.isnan(residuals)
        sums, _ = cluster_sums(np.where(is_known, residuals, 0.0), labels, n_clusters)
        counts, _ = cluster_sums(is_known.astype(np.float64), labels, n_clusters)
        return np.asarray(sums / (counts + max(self.pull, _LEAST_PULL)))

    def _weights(self, vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> FloatArray:
        return soft_weights(vectors, centres, nearest=self.nearest, beta=self.beta)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors, trust = self.vectors_.read([query.text for query in queries])
        scores = np.asarray(self.means_ + self._weights(vectors, self.centres_) @ self.table_)
        return towards_means(scores, self.means_, trust)

    def _add(self, name: str, queries: Sequence[Query], quality: FloatArray) -> AddedArm:
        """UniRoute's way: the new arm's cluster means, beside what the clusters share."""
        vectors = self.vectors_([query.text for query in queries])
        shared = self._weights(vectors, self.centres_) @ self.shared_
        slope = shrunk_slope(shared, quality)
        mean = float(quality.mean() - slope * shared.mean())
        labels = squared_distances(vectors, self.centres_).argmin(axis=1)
        rest = (quality - mean - slope * shared)[:, None]
        own = self.own_slope_ * self._cluster_means(rest, labels, len(self.centres_))
        self.means_ = np.append(self.means_, mean)
        self.table_ = np.hstack((self.table_, slope * self.shared_[:, None] + own))
        return self._extend(name, len(quality))

    def _evidence(self, query: Query) -> tuple[str, ...]:
        weights = self._weights(self.vectors_([query.text]), self.centres_)[0]
        best = np.argsort(-weights, kind="stable")[: self.nearest]
        return self.vectors_.evidence(query.text) + tuple(
            f"cluster {one} of {len(self.centres_)}, {self.sizes_[one]} training queries, "
            f"weight {weights[one]:.2f}"
            for one in best.tolist()
            if weights[one] > 0
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "centres": self.centres_,
            "sizes": self.sizes_,
            "table": self.table_,
            "shared": self.shared_,
            "means": self.means_,
        }
        return arrays | self.vectors_.state(), {"own_slope": self.own_slope_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        self.centres_ = arrays.take("centres", "f", (None, self.vectors_.dimensions))
        n_clusters, n_arms = len(self.centres_), len(self.arms_)
        self.sizes_ = arrays.take("sizes", "i", (n_clusters,))
        self.table_ = arrays.take("table", "f", (n_clusters, n_arms), finite=False)
        self.shared_ = arrays.take("shared", "f", (n_clusters,))
        self.means_ = arrays.take("means", "f", (n_arms,), finite=False)
        self.own_slope_ = float(facts["own_slope"])

    def _check_params(self) -> None:
        if (self.k is not None and self.k < 1) or self.nearest < 1 or self.beta < 0 or self.pull < 0:
            raise ConfigError(
                f"kmeans with k {self.k}, nearest {self.nearest}, beta {self.beta}, pull {self.pull}; "
                "k and nearest from 1, the others from 0 are needed"
            )
