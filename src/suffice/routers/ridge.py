"""Linear on words: every n-gram adds to, or takes from, what an arm is expected to score.

Hoerl and Kennard (1970), ridge regression, on hashed TF-IDF features. What decides between two arms
is the difference of their scores, so what the arms share (how hard the query is for all of them) and
what tells them apart (each arm's deviation from that) are learnt as separate targets, each with the
penalty and the slopes that cross-validation inside the training data prefers.
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
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import Familiarity
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.routers.solver import ridge, ridge_path
from suffice.routers.sparse import Float32, SparseMatrix
from suffice.routers.tfidf import Vocabulary
from suffice.types import FloatArray, IntArray, Kind, Query, SparseFeatures

_MAX_ROWS: Final = 60_000
"""Training queries that weights are learnt from, drawn by their texts: an answer's quality is mostly noise,
and what more queries add to a weight is less than what its penalty takes, while time grows with them."""
_MAX_CHOOSING: Final = 16_384
"""Of those, the ones on which penalties and slopes are chosen: 18 solutions against the one that follows."""


class Ridge(BaseRouter):
    """score = arm's mean + (shared weights + arm's own weights) . features."""

    name = "ridge"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        features: Kind = "words",
        penalties: Sequence[float] = (64.0, 32.0, 16.0, 8.0, 4.0, 2.0),
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
        self.means_ = arm_means(quality)
        texts, draws = outcomes.texts, text_draws(outcomes.texts, self.seed)
        if len(texts) > _MAX_ROWS:
            drawn = np.sort(np.argsort(draws, kind="stable")[:_MAX_ROWS])
            texts = tuple(texts[i] for i in drawn.tolist())
            draws, quality = draws[drawn], quality[drawn]
        targets, mask = _targets(quality - self.means_)
        rows = self._feature_embedder().features(texts, self.features)
        self.vocabulary_ = Vocabulary.learn(rows, min_rows=self.min_rows)
        self.familiarity_ = Familiarity.learn(self.vocabulary_, rows)
        matrix = SparseMatrix(self.vocabulary_.weigh(rows))
        folds = (draws % np.uint64(self.n_folds)).astype(np.intp)
        folds[np.argsort(draws, kind="stable")[_MAX_CHOOSING:]] = -1  # in no fold
        self.penalties_, self.slopes_, mixing = self._choose(matrix, targets, mask, folds)
        part = np.minimum(np.arange(len(targets)), 1)  # 0 shared, 1 own
        weights = ridge(matrix, targets, mask, np.array(self.penalties_, np.float32)[part])
        weights[0] *= np.float32(self.slopes_[0])
        weights[1:] = mixing.astype(np.float32) @ weights[1:]
        self._keep(_by_arm(weights, len(self.means_)))

    def _keep(self, weights: Float32) -> None:
        self._padded = np.vstack((weights, np.zeros_like(weights, shape=weights.shape[1])))
        self.weights_ = self._padded[:-1]  # the last is that of n-grams not known

    def _choose(
        self, matrix: SparseMatrix, targets: Float32, mask: Float32, folds: IntArray
    ) -> tuple[list[float], list[float], FloatArray]:
        """Penalties and slopes, each of the shared and of the arms' own part, and how the latter mix."""
        grid = sorted(self.penalties, reverse=True)
        held_out = HeldOut(len(grid), len(targets))
        for fold in range(self.n_folds):
            inside = np.flatnonzero((folds != fold) & (folds >= 0))
            held = np.flatnonzero(folds == fold)
            if not len(inside) or not len(held):
                continue
            test = matrix.select(held)
            path = ridge_path(matrix.select(inside), targets[:, inside], mask[:, inside], grid)
            for setting, weights in enumerate(path):
                held_out.add(setting, test.times(weights) * mask[:, held], targets[:, held])
        parts = (slice(0, 1), slice(1, None))
        best = [held_out.best(part) for part in parts]
        slopes = [held_out.slope(one, part) for one, part in zip(best, parts, strict=True)]
        return [grid[one] for one in best], slopes, held_out.mixing(best[1], parts[1])

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        texts = [query.text for query in queries]
        rows = self._feature_embedder().features(texts, self.features)
        return self.familiarity_.near_means(self.scores_of_features(rows), self.means_, rows)

    def scores_of_features(self, features: SparseFeatures) -> FloatArray:
        """(n, K), not clipped, however unfamiliar, from the embedder's sparse features."""
        if features.n_rows == 1:  # a decision
            places, values = self.vocabulary_.weigh_one(features)
            return np.asarray(self.means_ + values @ self._padded.take(places, axis=0))[None]
        rows = self.vocabulary_.weigh(features)
        out = np.empty((rows.n_rows, len(self.means_)))
        for row, (start, end) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
            weights = self.weights_.take(rows.indices[start:end], axis=0)  # twice as fast as indexing
            np.matmul(rows.values[start:end], weights, out=out[row])
        out += self.means_
        return out

    def _evidence(self, query: Query) -> tuple[str, ...]:
        features = self._feature_embedder().features([query.text], self.features)
        rows = self.vocabulary_.weigh(features)
        (shared, own), (slope, own_slope) = self.penalties_, self.slopes_
        known = f"{len(rows.indices)} n-grams of the query are known from {self.n_train_} training queries"
        together = f"penalty {shared:g} and slope {slope:.2f} on what the arms share"
        apart = f"{own:g} and about {own_slope:.2f} on what tells them apart"
        return self.familiarity_.evidence(features), known, f"{together}, {apart}"

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "columns": self.vocabulary_.columns,
            "idf": self.vocabulary_.idf,
            "weights": self.weights_,
            "means": self.means_,
            "familiarity": self.familiarity_.state(),
        }
        return arrays, {"penalties": self.penalties_, "slopes": self.slopes_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self._feature_embedder()
        columns = arrays.take("columns", "i", (None,))
        self.vocabulary_ = Vocabulary(columns, arrays.take("idf", "f", columns.shape))
        self.familiarity_ = Familiarity.restore(arrays, self.vocabulary_)
        n_arms = len(self.arms_)
        self._keep(arrays.take("weights", "f", (len(columns), n_arms)))
        self.means_ = arrays.take("means", "f", (n_arms,), finite=False)
        self.penalties_ = [float(penalty) for penalty in facts["penalties"]]
        self.slopes_ = [float(slope) for slope in facts["slopes"]]

    def _check_params(self) -> None:
        if not self.penalties or min(self.penalties) <= 0 or self.n_folds < 2 or self.min_rows < 1:
            raise ConfigError(
                f"ridge with penalties {self.penalties}, n_folds {self.n_folds}, min_rows {self.min_rows}; "
                "penalties above 0, n_folds from 2 and min_rows from 1 are needed"
            )
        if self.features not in ("words", "characters", "both"):
            raise ConfigError(f"ridge's features are {self.features!r}; words, characters or both is needed")


def _targets(residuals: FloatArray) -> tuple[Float32, Float32]:
    """Targets (R, n) and where they are known: the shared part, then each arm's own.

    Of two arms that are both known everywhere the second's own part, minus the first's, is left out.
    """
    shared, own, is_known = shared_and_own(residuals)
    n_own = 1 if own.shape[1] == 2 and is_known.all() else own.shape[1]
    targets = np.vstack((shared.T, own.T[:n_own])).astype(np.float32)
    mask = np.vstack((is_known.any(axis=1), is_known.T[:n_own])).astype(np.float32)
    return targets, mask


def _by_arm(weights: Float32, n_arms: int) -> Float32:
    """(V, K) from the weights (R, V) of `_targets`."""
    shared, own = weights[0], weights[1:]
    if len(own) < n_arms:
        own = np.vstack((own, -own))
    return np.ascontiguousarray((shared + own).T)
