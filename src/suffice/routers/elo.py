"""Elo: who beats whom over all queries, or within each cluster of them.

Zheng et al. (2023), Judging LLM-as-a-Judge, section 4 (Elo of a model arena), in its maximum-likelihood
form, Bradley-Terry. LLMRouter (2026, arXiv 2608.06867) rates by the battles of the best model with each
other one; here every pair of models on a query is a battle, ties included. The rating of a cluster is
pulled to the one over all queries, and a query is scored by its nearest clusters, which is our way of making
ratings local.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.battles import Battles
from suffice.routers.bradley_terry import bradley_terry
from suffice.routers.clustering import kmeans, soft_weights, squared_distances
from suffice.routers.pairwise import PairwiseRouter
from suffice.routers.preferring import expected_win_rates
from suffice.routers.shrinkage import HeldOut
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

_GRID: Final = (8, 16, 32, 64)
_N_FOLDS: Final = 3
_NEAREST: Final = 4
_BETA: Final = 9.0
"""How a query is shared out among clusters, as `kmeans` does."""
_POINTS: Final = 400 / np.log(10)
"""Elo points of one logit."""


class Elo(PairwiseRouter):
    """Win rates from ratings of the query's clusters, pulled to those over all queries."""

    name = "elo"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        clusters: int | None = None,
        pull: float = 16.0,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        clusters : of queries; 0 rates over all queries alone, so that scores are the same for each; None
            chooses from 8, 16, 32 and 64
        pull : to the ratings over all queries, counted in queries, above 0
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection and of the clusters
        """
        self.embedder = embedder
        self.clusters, self.pull = clusters, pull
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _learn(self, battles: Battles) -> tuple[IntArray, FloatArray]:
        self._check_params()
        self.vectors_, vectors = TextVectors.learn(
            battles.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        grid = sorted({min(max(k, 1), len(vectors)) for k in self._grid()})
        told = battles.surprises(self.rates_)
        sums = HeldOut(len(grid), len(battles.models))
        settings = []
        for setting, k in enumerate(grid):
            centres = kmeans(vectors, battles.draws, k, seed=self.seed)
            held_out = self._held_out(battles, vectors, centres) if self.clusters != 0 else told * 0
            sums.add(setting, np.where(np.isnan(told), 0.0, held_out - self.rates_).T, np.nan_to_num(told).T)
            settings.append((centres, held_out))
        self.centres_, held_out = settings[sums.best(slice(None))]
        labels = squared_distances(vectors, self.centres_).argmin(axis=1)
        self.sizes_ = np.bincount(labels, minlength=len(self.centres_))
        everything = np.ones(len(battles), np.bool_)
        self.cluster_rates_ = self._rates_of(battles, labels, everything, len(self.centres_))
        rows = np.arange(0 if self.clusters == 0 else len(vectors))
        return rows, held_out[: len(rows)]

    def _grid(self) -> tuple[int, ...]:
        return _GRID if self.clusters is None else (self.clusters,)

    def _held_out(
        self, battles: Battles, vectors: NDArray[np.float32], centres: NDArray[np.float32]
    ) -> FloatArray:
        """(U, K): win rates of every query from the battles of the other folds."""
        labels = squared_distances(vectors, centres).argmin(axis=1)
        folds = (battles.draws % np.uint64(_N_FOLDS)).astype(np.intp)
        weights = soft_weights(vectors, centres, nearest=_NEAREST, beta=_BETA)
        found = np.empty((len(labels), len(battles.models)))
        for fold in range(_N_FOLDS):
            rates = self._rates_of(battles, labels, folds[battles.query] != fold, len(centres))
            found[folds == fold] = weights[folds == fold] @ rates
        return found

    def _rates_of(
        self, battles: Battles, labels: IntArray, chosen: NDArray[np.bool_], n_clusters: int
    ) -> FloatArray:
        """(clusters, K): win rates in every cluster, from the chosen battles."""
        k = len(battles.models)
        penalty = self.pull * battles.per_query() / 4  # a battle tells at most 1/4 of a logit's precision
        pairs = (labels[battles.query] * k + battles.first) * k + battles.second
        rows = np.flatnonzero(chosen)
        won = np.bincount(pairs[rows], battles.pref_b[rows], n_clusters * k * k).reshape(n_clusters, k, k)
        lost = np.bincount(pairs[rows], 1 - battles.pref_b[rows], n_clusters * k * k)
        tables = won.transpose(0, 2, 1) + lost.reshape(n_clusters, k, k)
        rates = [
            bradley_terry(table, penalty=penalty, prior=self.ratings_, tolerance=1e-6) for table in tables
        ]
        return expected_win_rates(np.array(rates))

    def _weights(self, vectors: NDArray[np.float32]) -> FloatArray:
        return soft_weights(vectors, self.centres_, nearest=_NEAREST, beta=_BETA)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        if self.clusters == 0:  # the same for all: texts need not be read
            return np.tile(self.levels_[self.places_], (len(queries), 1))
        return super()._scores(queries)

    def _win_rates(self, vectors: NDArray[np.float32]) -> FloatArray:
        return np.asarray(self._weights(vectors) @ self.cluster_rates_)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        best = np.argsort(-self.ratings_, kind="stable")[:3]
        names = sorted(self.arms_)
        points = ", ".join(f"{names[one]} {1000 + _POINTS * self.ratings_[one]:.0f}" for one in best)
        overall = f"ratings over all queries: {points}"
        if self.clusters == 0:
            return (overall,)
        cluster = int(self._weights(self.vectors_([query.text]))[0].argmax())
        nearest = f"cluster {cluster} of {len(self.centres_)}, {self.sizes_[cluster]} training queries"
        return (*self.vectors_.evidence(query.text), overall, nearest)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "centres": self.centres_,
            "sizes": self.sizes_,
            "cluster_rates": self.cluster_rates_,
        }
        return arrays | self._pair_state() | self.vectors_.state(), {"slope": self.slope_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self._restore_pairs(arrays, facts)
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        self.centres_ = arrays.take("centres", "f", (None, self.vectors_.dimensions))
        self.sizes_ = arrays.take("sizes", "i", (len(self.centres_),))
        self.cluster_rates_ = arrays.take("cluster_rates", "f", (len(self.centres_), len(self.arms_)))

    def _check_params(self) -> None:
        if (self.clusters is not None and self.clusters < 0) or not self.pull > 0:
            raise ConfigError(
                f"elo with clusters {self.clusters}, pull {self.pull}; clusters from 0 and a pull above 0 "
                "are needed"
            )
