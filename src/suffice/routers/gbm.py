"""Gradient-boosted trees on dense vectors and simple statistics of the text.

Friedman (2001), Greedy Function Approximation: A Gradient Boosting Machine; fitted by LightGBM (Ke et
al., 2017), kept and evaluated in numpy. One regression for what the arms share and one for what tells
each apart; how many trees, and how far to follow them rather than the arms' means, is settled by
cross-validation inside the training data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError, MissingDependency
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.routers.crossfit import Belief, CrossFit, Parts, folds
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import towards_means
from suffice.routers.textstats import NAMES, text_statistics
from suffice.routers.trees import Trees
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

_SHARES: Final = (0.125, 0.25, 0.5, 1.0)
"""Of `n_trees`: how many to choose from."""
_FEATURES_A_TREE: Final = 40
"""Drawn anew for each tree, or an eighth of wide vectors: bounds the time that they take."""


class GBM(BaseRouter):
    """score = arm's mean + sum of trees for what the arms share and for what tells this one apart."""

    name = "gbm"
    needs_embedder = True
    extra = "train"

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        n_trees: int = 80,
        n_leaves: int = 8,
        max_depth: int = 4,
        learning_rate: float = 0.06,
        min_data_in_leaf: int = 15,
        n_folds: int = 3,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        n_trees : at most, for each target; an eighth, a quarter or half of them may be chosen
        n_leaves, max_depth, learning_rate, min_data_in_leaf : of LightGBM
        n_folds : of the choice of how many trees, at least 2
        projection, dimensions : of the vectors, as for knn
        seed : of the folds and of LightGBM
        """
        self.embedder = embedder
        self.n_trees, self.n_leaves, self.max_depth = n_trees, n_leaves, max_depth
        self.learning_rate, self.min_data_in_leaf, self.n_folds = learning_rate, min_data_in_leaf, n_folds
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        outcomes = outcomes.select(np.argsort(text_draws(outcomes.texts, self.seed), kind="stable"))
        texts = outcomes.texts
        self.vectors_, dense = TextVectors.learn(
            texts, self._embedder(), projection=self.projection, dimensions=self.dimensions, seed=self.seed
        )
        x = _features(dense, texts)
        quality = np.asarray(outcomes.quality, np.float64)
        parts, grid = Parts(quality), self._grid()
        crossfit = CrossFit(quality, len(grid))
        for inside, held in folds(texts, self.n_folds, self.seed):
            models = self._boost(x, parts, inside, grid[-1])
            for setting, n_trees in enumerate(grid):
                predicted = [
                    np.zeros(len(held)) if one is None else one.predict(x[held], num_iteration=n_trees)
                    for one in models
                ]
                crossfit.add(setting, held, parts.departures(np.array(predicted)))
        self.belief_ = crossfit.belief()
        counts = [grid[setting] for setting in self.belief_.settings]
        models = self._boost(x, parts, np.arange(len(x)), max(counts))
        dumped = [
            (target, one.dump_model(), counts[min(target, 1)])
            for target, one in enumerate(models)
            if one is not None
        ]
        self.trees_ = Trees.of_models(dumped)
        self.n_targets_ = len(parts.targets)

    def _grid(self) -> list[int]:
        return sorted({max(round(share * self.n_trees), 1) for share in _SHARES})

    def _boost(self, x: FloatArray, parts: Parts, rows: IntArray, n_trees: int) -> list[Any | None]:
        """A booster for each target; None where there is nothing to learn."""
        try:
            import lightgbm
        except ImportError as error:
            raise MissingDependency("lightgbm", "train", "training the router 'gbm'") from error
        params = self._lightgbm_params(x.shape[1])
        shared: Any = None
        found: list[Any | None] = []
        for target, known in zip(parts.targets[:, rows], parts.is_known[:, rows], strict=True):
            if known.sum() < 2 * self.min_data_in_leaf or np.ptp(target[known]) < 1e-9:
                found.append(None)
                continue
            if known.all():
                if shared is None:  # binned once for all targets
                    shared = lightgbm.Dataset(x[rows], target, params=params, free_raw_data=False)
                data = shared.set_label(target)
            else:
                data = lightgbm.Dataset(x[rows[known]], target[known], params=params)
            found.append(lightgbm.train(params, data, n_trees))
        return found

    def _lightgbm_params(self, n_features: int) -> dict[str, Any]:
        return {
            "objective": "regression",
            "boost_from_average": False,  # targets are centred
            "num_leaves": self.n_leaves,
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "max_bin": 63,
            "feature_fraction": min(max(_FEATURES_A_TREE / n_features, 0.125), 1.0),
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "feature_pre_filter": False,
            "seed": self.seed,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        texts = [query.text for query in queries]
        vectors, trust = self.vectors_.read(texts)
        scores = self.scores_of_features(_features(vectors, texts))
        return towards_means(scores, self.belief_.means, trust)

    def scores_of_features(self, x: FloatArray) -> FloatArray:
        """(n, K), not clipped, from vectors with statistics beside them."""
        predicted = self.trees_.predict(x, self.n_targets_)
        shared, own = predicted[:, :1], predicted[:, 1:]
        k = len(self.belief_.means)
        if own.shape[1] == 1 and k == 2:
            own = np.hstack((own, -own))
        departures = shared + own if own.shape[1] else np.repeat(shared, k, axis=1)
        return self.belief_.scores(departures, departures)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        slope, own_slope = self.belief_.slopes
        return (
            *self.vectors_.evidence(query.text),
            f"{self.trees_.n_trees} trees learnt from {self.n_train_} queries",
            f"slope {slope:.2f} on what the arms share, about {own_slope:.2f} on what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        facts = self.belief_.facts() | {"n_targets": self.n_targets_}
        return self.trees_.arrays | self.vectors_.state() | self.belief_.arrays(), facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        self.belief_ = Belief.restore(arrays, facts, len(self.arms_))
        self.n_targets_ = int(facts["n_targets"])
        n_features = self.vectors_.dimensions + len(NAMES)
        self.trees_ = Trees.restore(arrays, n_features, self.n_targets_)

    def _check_params(self) -> None:
        least = min(self.n_trees, self.max_depth, self.min_data_in_leaf)
        if least < 1 or min(self.n_leaves, self.n_folds) < 2 or self.learning_rate <= 0:
            raise ConfigError(
                f"gbm with n_trees {self.n_trees}, n_leaves {self.n_leaves}, max_depth {self.max_depth}, "
                f"learning_rate {self.learning_rate}, min_data_in_leaf {self.min_data_in_leaf}, n_folds "
                f"{self.n_folds}; n_leaves and n_folds from 2, learning_rate above 0 and the others from 1 "
                "are needed"
            )


def _features(vectors: NDArray[np.float32], texts: Sequence[str]) -> FloatArray:
    return np.hstack((vectors.astype(np.float64), text_statistics(texts)))
