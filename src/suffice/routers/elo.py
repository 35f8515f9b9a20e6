"""Elo: who beats whom over all queries, or within each cluster of them.

Zheng et al. (2023), Judging LLM-as-a-Judge, section 4 (Elo of a model arena), in its maximum-likelihood
form, Bradley-Terry. LLMRouter (2026, arXiv 2608.06867) rates by the battles of the best model with each
other one; here every pair of models on a query is a battle, ties included. The rating of a cluster is
pulled to the one over all queries, which is our way of making it local.
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
from suffice.routers.bradley_terry import bradley_terry, win_table
from suffice.routers.clustering import kmeans, squared_distances
from suffice.routers.pairwise import PairwiseRouter
from suffice.routers.preferring import expected_win_rates
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

_N_FOLDS: Final = 3
_POINTS: Final = 400 / np.log(10)
"""Elo points of one logit."""


class Elo(PairwiseRouter):
    """Ratings of the query's cluster, pulled to those over all queries."""

    name = "elo"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        clusters: int = 16,
        pull: float = 8.0,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        clusters : of queries; 0 rates over all queries alone, so that scores are the same for each
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
        self.centres_ = kmeans(vectors, battles.draws, max(self.clusters, 1), seed=self.seed)
        labels = self._labels(vectors)
        self.sizes_ = np.bincount(labels, minlength=len(self.centres_))
        self.cluster_rates_ = self._rates_of(battles, labels, np.ones(len(battles), np.bool_))
        folds = (battles.draws % np.uint64(_N_FOLDS)).astype(np.intp)
        held_out = np.empty((len(labels), len(battles.models)))
        for fold in range(_N_FOLDS if self.clusters else 0):
            rates = self._rates_of(battles, labels, folds[battles.query] != fold)
            held_out[folds == fold] = rates[labels[folds == fold]]
        rows = np.arange(len(labels) if self.clusters else 0)
        return rows, held_out[: len(rows)]

    def _rates_of(self, battles: Battles, labels: IntArray, chosen: NDArray[np.bool_]) -> FloatArray:
        """(clusters, K): win rates in every cluster, from the chosen battles."""
        k = len(battles.models)
        at = labels[battles.query]
        penalty = self.pull * battles.per_query() / 4  # a battle tells at most 1/4 of a logit's precision
        rates = []
        for cluster in range(len(self.centres_)):
            rows = np.flatnonzero(chosen & (at == cluster))
            won = win_table(battles.first[rows], battles.second[rows], battles.pref_b[rows], k)
            rates.append(bradley_terry(won, penalty=penalty, prior=self.ratings_))
        return expected_win_rates(np.array(rates))

    def _labels(self, vectors: NDArray[np.float32]) -> IntArray:
        return np.asarray(squared_distances(vectors, self.centres_).argmin(axis=1))

    def _win_rates(self, texts: Sequence[str]) -> FloatArray:
        if not self.clusters:
            return np.tile(self.rates_, (len(texts), 1))
        return np.asarray(self.cluster_rates_[self._labels(self.vectors_(texts))])

    def _evidence(self, query: Query) -> tuple[str, ...]:
        best = np.argsort(-self.ratings_, kind="stable")[:3]
        names = sorted(self.arms_)
        points = ", ".join(f"{names[one]} {1000 + _POINTS * self.ratings_[one]:.0f}" for one in best)
        overall = f"ratings over all queries: {points}"
        if not self.clusters:
            return (overall,)
        cluster = int(self._labels(self.vectors_([query.text]))[0])
        return overall, f"cluster {cluster} of {len(self.centres_)}, {self.sizes_[cluster]} training queries"

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
        if self.clusters < 0 or not self.pull > 0:
            raise ConfigError(
                f"elo with clusters {self.clusters}, pull {self.pull}; clusters from 0 and a pull above 0 "
                "are needed"
            )
