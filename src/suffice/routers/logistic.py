"""Logistic on words: every n-gram adds to, or takes from, the log odds that an arm is right.

Cox (1958), The regression analysis of binary sequences, on hashed TF-IDF features, one regression for
each arm; quality anywhere in [0, 1] counts as a chance of being right. RouteLLM's and RouterBench's
linear baselines predict the label of the best model instead. Departures: each arm's log odds start from
its mean; the penalty is chosen, and what the regressions say is shrunk to the arms' means, apart for
what the arms share and for what tells them apart, by cross-validation inside the training data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.routers.crossfit import Belief, CrossFit, folds
from suffice.routers.familiarity import Familiarity
from suffice.routers.irls import LinearKernel, logistic_path, sigmoid
from suffice.routers.sparse import Float32, SparseMatrix
from suffice.routers.tfidf import Vocabulary
from suffice.types import FloatArray, Kind, Query, SparseFeatures


class Logistic(BaseRouter):
    """P(right) = sigmoid(arm's log odds + weights . features), shrunk to the arm's mean."""

    name = "logistic"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        features: Kind = "words",
        penalties: Sequence[float] = (16.0, 8.0, 4.0, 2.0, 1.0, 0.5),
        n_folds: int = 3,
        min_rows: int = 2,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        features : which sparse features of the embedder: "words", "characters" or "both"
        penalties : to choose from, above 0
        n_folds : of the choice of a penalty, at least 2
        min_rows : n-grams that occur in fewer training queries are left out
        seed : of the folds, which follow from the texts: equal texts never stand on both sides
        """
        self.embedder = embedder
        self.features = features
        self.penalties = tuple(penalties)
        self.n_folds, self.min_rows, self.seed = n_folds, min_rows, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        quality = np.asarray(outcomes.quality, np.float64)
        self.offsets_ = log_odds(quality)
        rows = self._feature_embedder().features(outcomes.texts, self.features)
        self.vocabulary_ = Vocabulary.learn(rows, min_rows=self.min_rows)
        self.familiarity_ = Familiarity.learn(self.vocabulary_, rows)
        kernel = LinearKernel(SparseMatrix(self.vocabulary_.weigh(rows)))
        grid = sorted(self.penalties, reverse=True)
        crossfit = CrossFit(quality, len(grid))
        targets = np.nan_to_num(quality.T, nan=0.0).astype(np.float32)
        mask = (~np.isnan(quality.T)).astype(np.float32)
        for inside, held in folds(outcomes.texts, self.n_folds, self.seed):
            offsets = log_odds(quality[inside])
            test = kernel.matrix.select(held)
            some = kernel.select(inside)
            path = logistic_path(some, targets[:, inside], mask[:, inside], offsets, grid)
            for setting, weights in enumerate(path):
                logits = test.times(weights[:, :-1]) + weights[:, -1:]
                crossfit.add(setting, held, _departures(logits.T, offsets))
        self.belief_ = crossfit.belief()
        path = logistic_path(kernel, targets, mask, self.offsets_, grid[: max(self.belief_.settings) + 1])
        chosen = [weights for n, weights in enumerate(path) if n in self.belief_.settings]
        self.weights_ = np.ascontiguousarray(np.vstack(chosen).T)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        texts = [query.text for query in queries]
        rows = self._feature_embedder().features(texts, self.features)
        return self.familiarity_.near_means(self.scores_of_features(rows), self.belief_.means, rows)

    def scores_of_features(self, features: SparseFeatures) -> FloatArray:
        """(n, K), not clipped, however unfamiliar, from the embedder's sparse features."""
        rows = self.vocabulary_.weigh(features)
        logits = np.empty((rows.n_rows, self.weights_.shape[1]), np.float32)
        for row, (start, end) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
            np.matmul(rows.values[start:end], self.weights_[rows.indices[start:end]], out=logits[row])
        logits += self.weights_[-1]
        k = len(self.offsets_)
        first, second = self.belief_.settings
        low, high = _departures(logits[:, :k], self.offsets_), _departures(logits[:, -k:], self.offsets_)
        return self.belief_.scores(*((low, high) if first <= second else (high, low)))

    def _evidence(self, query: Query) -> tuple[str, ...]:
        features = self._feature_embedder().features([query.text], self.features)
        rows = self.vocabulary_.weigh(features)
        grid, (slope, own_slope) = sorted(self.penalties, reverse=True), self.belief_.slopes
        shared, own = (grid[one] for one in self.belief_.settings)
        known = f"{len(rows.indices)} n-grams of the query are known from {self.n_train_} training queries"
        together = f"penalty {shared:g} and slope {slope:.2f} on what the arms share"
        apart = f"{own:g} and about {own_slope:.2f} on what tells them apart"
        return self.familiarity_.evidence(features), known, f"{together}, {apart}"

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "columns": self.vocabulary_.columns,
            "idf": self.vocabulary_.idf,
            "weights": self.weights_,
            "offsets": self.offsets_,
            "familiarity": self.familiarity_.state(),
        }
        return arrays | self.belief_.arrays(), self.belief_.facts()

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self._feature_embedder()
        columns = arrays.take("columns", "i", (None,))
        self.vocabulary_ = Vocabulary(columns, arrays.take("idf", "f", columns.shape))
        self.familiarity_ = Familiarity.restore(arrays, self.vocabulary_)
        n_arms = len(self.arms_)
        self.belief_ = Belief.restore(arrays, facts, n_arms)
        n_sets = len(set(self.belief_.settings))
        self.weights_ = arrays.take("weights", "f", (len(columns) + 1, n_sets * n_arms))
        self.offsets_ = arrays.take("offsets", "f", (n_arms,))

    def _check_params(self) -> None:
        if not self.penalties or min(self.penalties) <= 0 or self.n_folds < 2 or self.min_rows < 1:
            raise ConfigError(
                f"logistic with penalties {self.penalties}, n_folds {self.n_folds}, min_rows "
                f"{self.min_rows}; penalties above 0, n_folds from 2 and min_rows from 1 are needed"
            )
        if self.features not in ("words", "characters", "both"):
            raise ConfigError(
                f"logistic's features are {self.features!r}; words, characters or both is needed"
            )


def log_odds(quality: FloatArray) -> Float32:
    """(K,): of the arms' means, half a right and half a wrong answer added so that they are finite."""
    is_known = ~np.isnan(quality)
    rate = (np.where(is_known, quality, 0.0).sum(axis=0) + 0.5) / (is_known.sum(axis=0) + 1)
    return np.asarray(np.log(rate / (1 - rate)), np.float32)


def _departures(logits: Float32, offsets: Float32) -> Float32:
    """(n, K): of the chances from those that the offsets alone give."""
    return np.asarray(sigmoid(logits + offsets) - sigmoid(offsets))
