"""Support vector regression with a radial kernel: an arm is as good here as near its support vectors.

Drucker et al. (1997), Support Vector Regression Machines; fitted by scikit-learn's SVR (libsvm), kept
and evaluated in numpy. LLMRouter's `svmrouter` is a classifier of the best model (SVC, C = 1, gamma =
"scale"), whose ties go to the first model and which has no score for the others. Departures: one
regression for what the arms share and one for what tells each apart, so that every arm has a score; C
is chosen, and predictions are shrunk to the arms' means, by cross-validation inside the training data;
at most `max_rows` queries, drawn by their texts, are learnt from, since libsvm takes their square.
Quality that is either 0 or 1 pulls a support vector regression toward its median rather than its mean:
a small C, which weighs all rows alike, and the shrinkage undo most of that.
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
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import BoolArray, FloatArray, Query

_BLOCK: Final = 256
"""Queries scored at once: bounds the memory that a batch takes."""


class SVM(BaseRouter):
    """score = arm's mean + sum over support vectors of weight x exp(-gamma x squared distance)."""

    name = "svm"
    needs_embedder = True
    extra = "train"

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        costs: Sequence[float] = (0.1, 1.0),
        epsilon: float = 0.1,
        gamma: float | None = None,
        n_folds: int = 3,
        max_rows: int = 2500,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        costs : C to choose from, above 0
        epsilon : errors up to it cost nothing, from 0
        gamma : of the kernel, above 0; None is 1 / (dimensions x variance), scikit-learn's "scale"
        n_folds : of the choice of C, at least 2
        max_rows : training queries to learn from, from 1
        projection, dimensions : of the vectors, as for knn
        seed : of the folds and of the sample
        """
        self.embedder = embedder
        self.costs = tuple(costs)
        self.epsilon, self.gamma, self.n_folds, self.max_rows = epsilon, gamma, n_folds, max_rows
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        order = np.argsort(text_draws(outcomes.texts, self.seed), kind="stable")
        self.vectors_, dense = TextVectors.learn(
            outcomes.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        sample = outcomes.select(order[: self.max_rows])
        x = dense[order[: self.max_rows]]
        self.gamma_ = float(self.gamma or 1 / max(x.shape[1] * float(x.var()), 1e-6))
        quality = np.asarray(sample.quality, np.float64)
        kernel = _kernel(x, x, self.gamma_).astype(np.float64)
        parts, grid = Parts(quality), sorted(self.costs)
        crossfit = CrossFit(quality, len(grid))
        for inside, held in folds(sample.texts, self.n_folds, self.seed):
            some = kernel[np.ix_(inside, inside)]
            for setting, cost in enumerate(grid):
                weights, biases = self._regress(
                    some, parts.targets[:, inside], parts.is_known[:, inside], cost
                )
                predicted = weights @ kernel[np.ix_(inside, held)] + biases
                crossfit.add(setting, held, parts.departures(predicted))
        belief = crossfit.belief()
        # linear in the weights: what is believed of predictions is believed of these
        solved = {
            one: self._regress(kernel, parts.targets, parts.is_known, grid[one])
            for one in set(belief.settings)
        }
        flat = belief._replace(means=np.where(np.isnan(belief.means), np.nan, 0.0))
        weights, biases = (
            np.nan_to_num(flat.scores(*(parts.departures(solved[one][part]) for one in belief.settings)))
            for part in (0, 1)
        )
        is_support = (weights != 0).any(axis=1)
        self.belief_, self.bias_ = belief, belief.means + biases[0]
        self.costs_ = [grid[one] for one in belief.settings]
        self._keep(x[is_support], weights[is_support].astype(np.float32))

    def _regress(
        self, kernel: FloatArray, targets: FloatArray, is_known: BoolArray, cost: float
    ) -> tuple[FloatArray, FloatArray]:
        """Weights (R, n) of the rows and biases (R, 1), of one regression for each target (R, n)."""
        try:
            from sklearn.svm import SVR
        except ImportError as error:
            raise MissingDependency("scikit-learn", "train", "training the router 'svm'") from error
        weights, biases = np.zeros(targets.shape), np.zeros((len(targets), 1))
        for row, (target, known) in enumerate(zip(targets, is_known, strict=True)):
            rows = np.flatnonzero(known)
            if not len(rows) or np.abs(target[rows]).max() < 1e-9:
                continue
            model = SVR(kernel="precomputed", C=cost, epsilon=self.epsilon)
            model.fit(kernel if known.all() else kernel[np.ix_(rows, rows)], target[rows])
            weights[row, rows[model.support_]] = model.dual_coef_[0]
            biases[row] = model.intercept_[0]
        return weights, biases

    def _keep(self, support: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        self.support_, self.weights_ = support, weights
        self._halves = np.einsum("sd,sd->s", support, support) * np.float32(0.5)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        return self.scores_of_vectors(self.vectors_([query.text for query in queries]))

    def scores_of_vectors(self, vectors: NDArray[np.float32]) -> FloatArray:
        """(n, K), not clipped, from dense vectors (n, d)."""
        blocks = [self._block(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return self.bias_ + (blocks[0] if len(blocks) == 1 else np.concatenate(blocks))

    def _block(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        # exp(-gamma |x - s|^2) with |x - s|^2 / 2 = |x|^2 / 2 + |s|^2 / 2 - x . s
        near = (self.support_ @ vectors[0])[None] if len(vectors) == 1 else vectors @ self.support_.T
        near -= self._halves
        near -= np.einsum("nd,nd->n", vectors, vectors)[:, None] * np.float32(0.5)
        near *= np.float32(2 * self.gamma_)
        np.exp(near, out=near)
        return near @ self.weights_

    def _evidence(self, query: Query) -> tuple[str, ...]:
        slope, own_slope = self.belief_.slopes
        cost, own_cost = self.costs_
        return (
            f"{len(self.support_)} support vectors from {self.n_train_} training queries",
            f"C {cost:g} and slope {slope:.2f} on what the arms share, {own_cost:g} and {own_slope:.2f} on "
            "what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "support": self.support_,
            "weights": self.weights_,
            "bias": self.bias_,
            "means": self.belief_.means,
        }
        facts = self.belief_.facts() | {"gamma": self.gamma_, "costs": self.costs_}
        return arrays | self.vectors_.state(), facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        k = len(self.arms_)
        self.belief_ = Belief.restore(arrays, facts, k)
        self.bias_ = arrays.take("bias", "f", (k,), finite=False)
        self.gamma_ = float(facts["gamma"])
        cost, own_cost = facts["costs"]
        self.costs_ = [float(cost), float(own_cost)]
        support = arrays.take("support", "f", (None, self.vectors_.dimensions))
        self._keep(support, arrays.take("weights", "f", (len(support), k)))

    def _check_params(self) -> None:
        if (
            not self.costs
            or min(self.costs) <= 0
            or self.epsilon < 0
            or self.n_folds < 2
            or self.max_rows < 1
        ):
            raise ConfigError(
                f"svm with costs {self.costs}, epsilon {self.epsilon}, n_folds {self.n_folds}, max_rows "
                f"{self.max_rows}; costs above 0, epsilon from 0, n_folds from 2 and max_rows from 1 are needed"
            )
        if self.gamma is not None and self.gamma <= 0:
            raise ConfigError(f"svm's gamma is {self.gamma}; a number above 0, or none, is needed")


def _kernel(left: NDArray[np.float32], right: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """(n, m): exp(-gamma |l - r|^2)."""
    halves = [np.einsum("nd,nd->n", rows, rows) * np.float32(0.5) for rows in (left, right)]
    inner = left @ right.T - halves[0][:, None] - halves[1]
    return np.exp(np.minimum(inner, 0) * np.float32(2 * gamma))
