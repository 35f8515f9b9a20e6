"""Support vector machine with a radial kernel: an arm is as good here as near its support vectors.

Suykens and Vandewalle (1999), Least Squares Support Vector Machine Classifiers, or, with the loss
"epsilon", Drucker et al. (1997), Support Vector Regression Machines, fitted by scikit-learn (libsvm).
LLMRouter's `svmrouter` is a classifier of the best model (SVC, C = 1, gamma = "scale"): ties go to the
first model, and the others have no score. Departures: a regression for what the arms share and one for
what tells each apart, so that every arm has a score; the penalty is chosen, and predictions are shrunk
to the arms' means, by cross-validation inside the training data; at most `max_rows` queries, drawn by
their texts, are learnt from. The squared loss is the default because it estimates the mean: hinge and
epsilon losses pull toward the median, which for right or wrong answers is 0 or 1. Held out inside three
training sets its correlation with quality was the higher, most so for what tells arms apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

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
from suffice.routers.gradients import conjugate_gradients
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

_BLOCK: Final = 256
"""Queries scored at once: bounds the memory that a batch takes."""
_TOLERANCE: Final = 1e-3
"""Of conjugate gradients: far below what the noise in quality lets one see."""


class SVM(BaseRouter):
    """score = arm's mean + sum over support vectors of weight x exp(-gamma x squared distance)."""

    name = "svm"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        loss: Literal["squared", "epsilon"] = "squared",
        penalties: Sequence[float] = (30.0, 10.0, 3.0, 1.0),
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
        loss : "epsilon" needs the extra [train], for training only
        penalties : to choose from, above 0; 1 / C in the words of support vector machines
        epsilon : of the loss "epsilon": errors up to it cost nothing, from 0
        gamma : of the kernel, above 0; None is 1 / (dimensions x variance), scikit-learn's "scale"
        n_folds : of the choice of a penalty, at least 2
        max_rows : training queries to learn from, from 1
        projection, dimensions : of the vectors, as for knn
        seed : of the folds and of the sample
        """
        self.embedder = embedder
        self.loss, self.penalties, self.epsilon, self.gamma = loss, tuple(penalties), epsilon, gamma
        self.n_folds, self.max_rows = n_folds, max_rows
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        order = np.argsort(text_draws(outcomes.texts, self.seed), kind="stable")[: self.max_rows]
        self.vectors_, dense = TextVectors.learn(
            outcomes.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        x, sample = dense[order], outcomes.select(order)
        self.gamma_ = float(self.gamma or 1 / max(x.shape[1] * float(x.var()), 1e-6))
        kernel = _kernel(x, self.gamma_)
        parts = Parts(np.asarray(sample.quality, np.float64))
        belief = self._believe(kernel, parts, sample)
        grid = sorted(self.penalties, reverse=True)
        rows = np.arange(len(x))
        solved = {one: self._regress(kernel, parts, rows, grid[one]) for one in set(belief.settings)}
        # linear in weights and biases: what is believed of predictions is believed of these
        flat = belief._replace(means=np.where(np.isnan(belief.means), np.nan, 0.0))
        shared, own = (solved[one] for one in belief.settings)
        weights, biases = (
            flat.scores(parts.departures(a), parts.departures(b)) for a, b in zip(shared, own, strict=True)
        )
        weights = np.nan_to_num(weights)
        is_support = (weights != 0).any(axis=1)
        self.belief_, self.bias_ = belief, belief.means + biases[0]
        self._keep(x[is_support], weights[is_support].astype(np.float32))

    def _believe(self, kernel: NDArray[np.float32], parts: Parts, sample: Outcomes) -> Belief:
        """The penalties and slopes that queries left out in turn prefer."""
        grid = sorted(self.penalties, reverse=True)
        crossfit = CrossFit(np.asarray(sample.quality, np.float64), len(grid))
        for inside, held in folds(sample.texts, self.n_folds, self.seed):
            across = kernel[np.ix_(inside, held)]
            some = kernel[np.ix_(inside, inside)]
            for setting, penalty in enumerate(grid):
                weights, biases = self._regress(some, parts, inside, penalty)
                crossfit.add(setting, held, parts.departures(weights @ across + biases))
        return crossfit.belief()

    def _regress(
        self, kernel: NDArray[np.float32], parts: Parts, rows: IntArray, penalty: float
    ) -> tuple[FloatArray, FloatArray]:
        """Weights (R, n) of the rows and biases (R, 1), of one regression for each target."""
        targets, is_known = parts.targets[:, rows], parts.is_known[:, rows]
        if self.loss == "epsilon":
            return _epsilon(kernel, targets, is_known, 1 / penalty, self.epsilon)
        mask, size = is_known.astype(np.float32), np.float32(penalty)

        def system(duals: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray((duals @ kernel) * mask + size * duals)

        weights = conjugate_gradients(system, targets.astype(np.float32), tolerance=_TOLERANCE)
        return weights, np.zeros((len(targets), 1))  # targets are centred: no bias is needed

    def _keep(self, support: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        self.support_, self.weights_ = support, weights
        self._halves = np.einsum("sd,sd->s", support, support) * np.float32(0.5)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors, trust = self.vectors_.read([query.text for query in queries])
        return towards_means(self.scores_of_vectors(vectors), self.belief_.means, trust)

    def scores_of_vectors(self, vectors: NDArray[np.float32]) -> FloatArray:
        """(n, K), not clipped, from dense vectors (n, d)."""
        blocks = [self._block(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return np.asarray(self.bias_ + (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)))

    def _block(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        # exp(-gamma |x - s|^2) with |x - s|^2 / 2 = |x|^2 / 2 + |s|^2 / 2 - x . s
        near = (self.support_ @ vectors[0])[None] if len(vectors) == 1 else vectors @ self.support_.T
        near -= self._halves
        near -= np.einsum("nd,nd->n", vectors, vectors)[:, None] * np.float32(0.5)
        near *= np.float32(2 * self.gamma_)
        np.exp(near, out=near)
        return np.asarray(near @ self.weights_)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        grid, (slope, own_slope) = sorted(self.penalties, reverse=True), self.belief_.slopes
        shared, own = (grid[one] for one in self.belief_.settings)
        together = f"penalty {shared:g} and slope {slope:.2f} on what the arms share"
        return (
            *self.vectors_.evidence(query.text),
            f"{len(self.support_)} support vectors from {self.n_train_} training queries",
            f"{together}, {own:g} and about {own_slope:.2f} on what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "support": self.support_,
            "weights": self.weights_,
            "bias": self.bias_,
        }
        return arrays | self.belief_.arrays() | self.vectors_.state(), self.belief_.facts() | {
            "gamma": self.gamma_
        }

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        k = len(self.arms_)
        self.belief_ = Belief.restore(arrays, facts, k)
        self.bias_ = arrays.take("bias", "f", (k,), finite=False)
        self.gamma_ = float(facts["gamma"])
        support = arrays.take("support", "f", (None, self.vectors_.dimensions))
        self._keep(support, arrays.take("weights", "f", (len(support), k)))

    def _check_params(self) -> None:
        if self.loss not in ("squared", "epsilon"):
            raise ConfigError(f"svm's loss is {self.loss!r}; squared or epsilon is needed")
        penalties, least = self.penalties, min(self.penalties, default=0)
        if least <= 0 or self.epsilon < 0 or self.n_folds < 2 or self.max_rows < 1:
            raise ConfigError(
                f"svm with penalties {penalties}, epsilon {self.epsilon}, n_folds {self.n_folds}, max_rows "
                f"{self.max_rows}; penalties above 0, epsilon from 0, n_folds from 2 and max_rows from 1 "
                "are needed"
            )
        if self.gamma is not None and self.gamma <= 0:
            raise ConfigError(f"svm's gamma is {self.gamma}; a number above 0, or none, is needed")


def _kernel(x: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """(n, n): exp(-gamma |x - x'|^2)."""
    halves = np.einsum("nd,nd->n", x, x) * np.float32(0.5)
    inner = x @ x.T - halves[:, None] - halves
    return np.asarray(np.exp(np.minimum(inner, 0) * np.float32(2 * gamma)))


def _epsilon(
    kernel: NDArray[np.float32], targets: FloatArray, is_known: NDArray[np.bool_], cost: float, epsilon: float
) -> tuple[FloatArray, FloatArray]:
    """Weights (R, n) and biases (R, 1) by libsvm."""
    try:
        from sklearn.svm import SVR
    except ImportError as error:
        raise MissingDependency("scikit-learn", "train", "the router 'svm' with loss 'epsilon'") from error
    weights, biases = np.zeros(targets.shape), np.zeros((len(targets), 1))
    for row, (target, known) in enumerate(zip(targets, is_known, strict=True)):
        rows = np.flatnonzero(known)
        if not len(rows) or np.abs(target[rows]).max() < 1e-9:
            continue
        model = SVR(kernel="precomputed", C=cost, epsilon=epsilon)
        model.fit(kernel if known.all() else kernel[np.ix_(rows, rows)], target[rows])
        weights[row, rows[model.support_]] = model.dual_coef_[0]
        biases[row] = model.intercept_[0]
    return weights, biases
