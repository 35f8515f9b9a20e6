"""Multilayer perceptron on dense vectors: a small committee of networks, one output for each arm.

LLMRouter's `mlprouter` (hidden layers of 128 and 64, Adam at 1e-3, L2 of 1e-4) with these departures:
an output is the chance that its arm is right (soft labels, unknown ones masked) instead of a vote for
the best model, so that every arm has a score; epochs are not fixed, but each network of the committee
leaves out a fold of queries and stops where it does best on them, which also says how far to follow it
(Krogh and Vedelsby, 1995, Neural Network Ensembles, Cross Validation, and Active Learning). Since the
same fold stops and judges, the slope is a little too high; averaging the committee makes up for it.
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
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import towards_means
from suffice.routers.logistic import log_odds
from suffice.routers.losses import Loss
from suffice.routers.network import Weights, initial, logits, train
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, Query

_NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")


class MLP(BaseRouter):
    """P(right) = mean of sigmoid(arm's log odds + network's output), shrunk to the arm's mean."""

    name = "mlp"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        hidden: Sequence[int] = (128, 64),
        n_folds: int = 3,
        lr: float = 1e-3,
        penalty: float = 1e-4,
        batch: int = 64,
        max_epochs: int = 100,
        patience: int = 6,
        projection: Projection = "auto",
        dimensions: int = 64,
        loss: str = "cross_entropy",
        loss_strength: float | None = None,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        hidden : widths of the two hidden layers
        n_folds : networks, each trained on all folds but one, at least 2
        lr, penalty, batch : of Adam
        max_epochs, patience : at most, and how many without a better one
        projection, dimensions : of the vectors, as for knn
        loss, loss_strength : as `Bert`'s
        seed : of the folds, the first weights and the batches
        """
        self.embedder = embedder
        self.hidden = tuple(hidden)
        self.n_folds, self.lr, self.penalty, self.batch = n_folds, lr, penalty, batch
        self.max_epochs, self.patience = max_epochs, patience
        self.projection, self.dimensions, self.seed = projection, dimensions, seed
        self.loss, self.loss_strength = loss, loss_strength

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        outcomes = outcomes.select(np.argsort(text_draws(outcomes.texts, self.seed), kind="stable"))
        self.vectors_, dense = TextVectors.learn(
            outcomes.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        quality = np.asarray(outcomes.quality, np.float64)
        x = dense.astype(np.float64) * np.sqrt(dense.shape[1])  # entries of about 1
        y, mask = np.nan_to_num(quality, nan=0.0), (~np.isnan(quality)).astype(np.float64)
        self.offsets_ = log_odds(quality)
        offsets = self.offsets_.astype(np.float64)
        crossfit, networks = CrossFit(quality), []
        for number, (inside, held) in enumerate(folds(outcomes.texts, self.n_folds, self.seed)):
            sides = [(x[rows], y[rows], mask[rows]) for rows in (inside, held)]
            weights = self._network(number, sides[0], sides[1], offsets)
            networks.append(weights)
            crossfit.add(0, held, _chance(logits(weights, x[held]) + offsets) - _chance(offsets))
        if not networks:  # all training texts are in one fold
            networks.append(self._first(0, x.shape[1], len(offsets)))
        self.belief_ = crossfit.belief()
        for weights in networks:
            weights["w1"] = weights["w1"] * np.sqrt(dense.shape[1])
        self._keep({name: np.stack([one[name] for one in networks]).astype(np.float32) for name in _NAMES})

    def _first(self, number: int, n_inputs: int, n_arms: int) -> Weights:
        first, second = self.hidden
        return initial(n_inputs, (first, second), n_arms, self.seed + 1000 * number)

    def _network(
        self, number: int, inside: Sequence[FloatArray], held: Sequence[FloatArray], offsets: FloatArray
    ) -> Weights:
        weights = self._first(number, inside[0].shape[1], len(offsets))
        for criterion in Loss(self.loss, self.loss_strength).stages:
            weights = train(
                weights,
                inside,
                held,
                offsets,
                lr=self.lr,
                penalty=self.penalty,
                batch=self.batch,
                max_epochs=self.max_epochs,
                patience=self.patience,
                seed=self.seed + 1000 * number,
                criterion=criterion,
            )
        return weights

    def _keep(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Arrays of M networks; the first layers side by side, so that one product serves them all."""
        self.arrays_ = arrays
        n_networks, n_inputs, first = arrays["w1"].shape
        self._wide = np.ascontiguousarray(arrays["w1"].transpose(1, 0, 2)).reshape(n_inputs, -1)
        self._wide_bias = arrays["b1"].reshape(-1)
        self._shape = (n_networks, first)
        self._base = _chance(self.offsets_)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors, trust = self.vectors_.read([query.text for query in queries])
        return towards_means(self.scores_of_vectors(vectors), self.belief_.means, trust)

    def scores_of_vectors(self, vectors: NDArray[np.float32]) -> FloatArray:
        """(n, K), not clipped, from dense vectors (n, d)."""
        hidden = vectors @ self._wide + self._wide_bias
        np.maximum(hidden, 0, out=hidden)
        hidden = hidden.reshape(len(vectors), *self._shape).transpose(1, 0, 2)  # (M, n, h1)
        arrays = self.arrays_
        hidden = hidden @ arrays["w2"] + arrays["b2"][:, None]
        np.maximum(hidden, 0, out=hidden)
        z = hidden @ arrays["w3"] + arrays["b3"][:, None] + self.offsets_
        departures = _chance(z).mean(axis=0) - self._base
        return self.belief_.scores(departures, departures)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        slope, own_slope = self.belief_.slopes
        return (
            *self.vectors_.evidence(query.text),
            f"{self._shape[0]} networks learnt from {self.n_train_} queries",
            f"slope {slope:.2f} on what the arms share, about {own_slope:.2f} on what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        own: dict[str, NDArray[Any]] = {"offsets": self.offsets_} | self.belief_.arrays()
        return self.arrays_ | self.vectors_.state() | own, self.belief_.facts()

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        k = len(self.arms_)
        self.belief_ = Belief.restore(arrays, facts, k)
        self.offsets_ = arrays.take("offsets", "f", (k,))
        first, second = self.hidden
        w1 = arrays.take("w1", "f", (None, self.vectors_.dimensions, first))
        m = len(w1)
        shapes = {"b1": (m, first), "w2": (m, first, second), "b2": (m, second), "w3": (m, second, k)}
        others = {name: arrays.take(name, "f", shape) for name, shape in (shapes | {"b3": (m, k)}).items()}
        self._keep({"w1": w1} | others)

    def _check_params(self) -> None:
        Loss(self.loss, self.loss_strength)
        counts = (*self.hidden, self.batch, self.max_epochs, self.patience)
        if len(self.hidden) != 2 or min(counts) < 1 or self.n_folds < 2 or self.lr <= 0 or self.penalty < 0:
            raise ConfigError(
                f"mlp with hidden {self.hidden}, n_folds {self.n_folds}, lr {self.lr}, penalty "
                f"{self.penalty}, batch {self.batch}, max_epochs {self.max_epochs}, patience "
                f"{self.patience}; two hidden layers, n_folds from 2, lr above 0, penalty from 0 and the "
                "others from 1 are needed"
            )


def _chance(z: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))
