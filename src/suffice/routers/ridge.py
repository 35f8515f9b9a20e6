"""Linear on words: every n-gram adds to, or takes from, what an arm is expected to score.

Hoerl and Kennard (1970), ridge regression, on hashed TF-IDF features. What decides between two arms
is the difference of their scores, so what the arms share (how hard the query is for all of them)
and what tells them apart (each arm's deviation from that) are learnt as separate targets, each with
the penalty that cross-validation inside the training data prefers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.solver import ridge, ridge_path
from suffice.routers.sparse import Float32, SparseMatrix, select_rows
from suffice.routers.tfidf import Vocabulary
from suffice.types import FloatArray, IntArray, Kind, Query


class Ridge(BaseRouter):
    """score = arm's mean + (shared weights + arm's own weights) . features."""

    name = "ridge"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        features: Kind = "words",
        penalties: Sequence[float] = (64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0),
        n_folds: int = 4,
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
        texts = [query.text for query in outcomes.queries]
        rows = self._feature_embedder().features(texts, self.features)
        self.vocabulary_ = Vocabulary.learn(rows, min_rows=self.min_rows)
        matrix = SparseMatrix(self.vocabulary_.weigh(rows))
        quality = np.asarray(outcomes.quality, np.float64)
        self.means_ = arm_means(quality)
        targets, mask = _shared_and_own(quality - self.means_)
        errors = self._errors(matrix, targets, mask, texts)
        grid = np.asarray(sorted(self.penalties, reverse=True), np.float32)
        shared, own = errors[:, 0].argmin(), errors[:, 1:].sum(axis=1).argmin()
        self.penalties_ = (float(grid[shared]), float(grid[own]))
        penalties = np.where(np.arange(len(targets)) == 0, grid[shared], grid[own])
        weights = ridge(matrix, targets, mask, penalties)
        self.weights_ = np.ascontiguousarray((weights[0] + weights[1:]).T)  # (V, K)

    def _errors(
        self, matrix: SparseMatrix, targets: Float32, mask: Float32, texts: Sequence[str]
    ) -> FloatArray:
        """(n_penalties, 1 + K): squared errors on held-out folds, summed."""
        grid = sorted(self.penalties, reverse=True)
        errors = np.zeros((len(grid), len(targets)))
        folds = _folds(texts, self.n_folds, self.seed)
        for fold in range(self.n_folds):
            inside, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            if not len(inside) or not len(held):
                continue
            train, test = select_rows(matrix.rows, inside), SparseMatrix(select_rows(matrix.rows, held))
            path = ridge_path(SparseMatrix(train), targets[:, inside], mask[:, inside], grid)
            for row, weights in enumerate(path):
                miss = (test.times(weights) - targets[:, held]) * mask[:, held]
                errors[row] += np.einsum("rn,rn->r", miss, miss, dtype=np.float64)
        return errors

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        texts = [query.text for query in queries]
        rows = self.vocabulary_.weigh(self._feature_embedder().features(texts, self.features))
        out = np.empty((len(texts), len(self.means_)))
        for row, (start, end) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
            np.matmul(rows.values[start:end], self.weights_[rows.indices[start:end]], out=out[row])
        out += self.means_
        return out

    def _evidence(self, query: Query) -> tuple[str, ...]:
        rows = self.vocabulary_.weigh(self._feature_embedder().features([query.text], self.features))
        shared, own = self.penalties_
        return (
            f"{len(rows.indices)} n-grams of the query are known from {self.n_train_} training queries",
            f"penalty {shared:g} on what the arms share, {own:g} on what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays = {
            "columns": self.vocabulary_.columns,
            "idf": self.vocabulary_.idf,
            "weights": self.weights_,
            "means": self.means_,
        }
        return arrays, {"penalties": self.penalties_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self._feature_embedder()
        columns = arrays.take("columns", "i", (None,))
        self.vocabulary_ = Vocabulary(columns, arrays.take("idf", "f", columns.shape))
        n_arms = len(self.arms_)
        self.weights_ = arrays.take("weights", "f", (len(columns), n_arms))
        self.means_ = arrays.take("means", "f", (n_arms,), finite=False)
        shared, own = facts["penalties"]
        self.penalties_ = (float(shared), float(own))

    def _check_params(self) -> None:
        if not self.penalties or min(self.penalties) <= 0 or self.n_folds < 2 or self.min_rows < 1:
            raise ConfigError(
                f"ridge with penalties {self.penalties}, n_folds {self.n_folds}, min_rows {self.min_rows}; "
                "penalties above 0, n_folds from 2 and min_rows from 1 are needed"
            )
        if self.features not in ("words", "characters", "both"):
            raise ConfigError(f"ridge's features are {self.features!r}; words, characters or both is needed")


def _shared_and_own(residuals: FloatArray) -> tuple[Float32, Float32]:
    """Targets (1 + K, n) and where they are known: the mean over arms, then each arm's deviation."""
    is_known = ~np.isnan(residuals)
    counts = np.maximum(is_known.sum(axis=1), 1)
    filled = np.where(is_known, residuals, 0.0)
    shared = filled.sum(axis=1) / counts
    own = np.where(is_known, filled - shared[:, None], 0.0)
    targets = np.vstack((shared, own.T)).astype(np.float32)
    mask = np.vstack((is_known.any(axis=1), is_known.T)).astype(np.float32)
    return targets, mask


def _folds(texts: Sequence[str], n_folds: int, seed: int) -> IntArray:
    """(n,): the fold of each text, a function of the text and the seed alone."""
    salt = str(seed).encode()
    digests = (hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, salt=salt) for text in texts)
    return np.array([int.from_bytes(digest.digest(), "big") % n_folds for digest in digests], np.intp)
