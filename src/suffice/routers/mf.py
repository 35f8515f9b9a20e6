"""Matrix factorisation: a model's vector times the query's, trained on which answer was preferred.

Ong et al. (2024), RouteLLM, arXiv 2406.18665, section 4.2: delta(M, q) = w2' (v_M * W1 q), v_M of length 1,
P(b beats a) = sigmoid(delta(b, q) - delta(a, q)), noise of size alpha on the query's vector. LLMRouter
(2026, arXiv 2608.06867) trains the same form on the best model against each other one.

Departures: any number of models, each scored by its win rate against the others; a tie is the target
0.5 (RouteLLM drops ties), and on outcomes every pair of models is a battle; the query's vector has a
constant beside it, so that a text of which nothing is known is scored by the models' overall strength;
alpha is the noise's length relative to the vector's; training stops by queries held out, and a few
members with others held out are averaged (`descent`); and after training on outcomes scores are put on
the scale of quality (`pairwise`).
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
from suffice.routers.descent import (
    Params,
    Schedule,
    by_name,
    committee,
    cross_entropy,
    members_of,
    noisy,
    sigmoid,
    with_one,
)
from suffice.routers.pairwise import PairwiseRouter
from suffice.routers.preferring import expected_win_rates
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

_LEAST_LENGTH: Final = 1e-6
_PARAMS: Final = ("models", "text", "out")


class MF(PairwiseRouter):
    """Expected win rates from a bilinear form of model and query."""

    name = "mf"
    needs_embedder = True
    max_battles = 100_000

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        latent: int = 128,
        alpha: float = 0.1,
        lr: float = 3e-3,
        weight_decay: float = 1e-5,
        batch: int = 64,
        max_epochs: int = 100,
        members: int = 4,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        latent : length of a model's vector, at least 1
        alpha : noise on the query's vector in training, as a share of its length, from 0
        lr, weight_decay : of Adam; RouteLLM's are 3e-4 and 1e-5
        batch : queries in a batch
        max_epochs : at most so many; queries held out may end training before
        members : trained with another share of the queries held out each, and averaged, at least 1
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection, the first weights, the noise and the batches
        """
        self.embedder = embedder
        self.latent, self.alpha = latent, alpha
        self.lr, self.weight_decay, self.batch, self.max_epochs = lr, weight_decay, batch, max_epochs
        self.members = members
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _learn(self, battles: Battles) -> tuple[IntArray, FloatArray]:
        schedule = self._schedule()
        self.vectors_, vectors = TextVectors.learn(
            battles.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        inputs, width = with_one(vectors), vectors.shape[1] + 1
        self.params_, folds = committee(
            lambda seed: first_weights(battles.models, width, self.latent, seed),
            lambda params: BattleLoss(params, inputs, battles, self.alpha),
            battles.draws,
            schedule,
            n_members=self.members,
            seed=self.seed,
        )
        held = np.flatnonzero(folds >= 0)
        found = np.array([deltas(params, inputs) for params in members_of(self.params_)], np.float64)
        return held, expected_win_rates(found[folds[held], held])

    def _deltas(self, vectors: NDArray[np.float32]) -> FloatArray:
        """(n, K): delta, the mean over members."""
        inputs = with_one(vectors)
        found = [deltas(params, inputs) for params in members_of(self.params_)]
        return np.asarray(np.mean(found, axis=0, dtype=np.float64))

    def _win_rates(self, vectors: NDArray[np.float32]) -> FloatArray:
        return expected_win_rates(self._deltas(vectors))

    def _evidence(self, query: Query) -> tuple[str, ...]:
        gaps = self._deltas(self.vectors_([query.text]))[0]
        best = np.argsort(-gaps, kind="stable")[:3].tolist()
        names = sorted(self.arms_)
        logits = ", ".join(f"{names[one]} {gaps[one]:+.2f}" for one in best)
        learnt = f"learnt from battles on {self.n_train_} queries"
        return (*self.vectors_.evidence(query.text), learnt, f"logits: {logits}")

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {f"mf_{name}": self.params_[name] for name in _PARAMS}
        return arrays | self._pair_state() | self.vectors_.state(), {"slope": self.slope_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._schedule()
        self._restore_pairs(arrays, facts)
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        width = self.vectors_.dimensions + 1
        out = arrays.take("mf_out", "f", (None, self.latent))
        self.params_ = {
            "models": arrays.take("mf_models", "f", (len(out), len(self.arms_), self.latent)),
            "text": arrays.take("mf_text", "f", (len(out), self.latent, width)),
            "out": out,
        }

    def _schedule(self) -> Schedule:
        if self.latent < 1 or self.alpha < 0 or self.members < 1:
            raise ConfigError(
                f"mf with latent {self.latent}, alpha {self.alpha}, members {self.members}; latent and "
                "members from 1 and alpha from 0 are needed"
            )
        schedule = Schedule(self.lr, self.weight_decay, self.batch, self.max_epochs)
        schedule.check(self.name)
        return schedule


def first_weights(models: Sequence[str], width: int, latent: int, seed: int) -> Params:
    """v (K, latent) of the models, W1 (latent, width) of the text and w2 (latent,)."""
    rng = np.random.default_rng(seed)
    return {
        "models": by_name(models, latent, 1.0, seed),
        "text": rng.standard_normal((latent, width), np.float32) / np.float32(np.sqrt(width)),
        "out": rng.standard_normal(latent, np.float32) / np.float32(np.sqrt(latent)),
    }


def deltas(params: Params, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, K): delta(M, q)."""
    lengths = np.maximum(np.linalg.norm(params["models"], axis=1, keepdims=True), _LEAST_LENGTH)
    hidden = vectors @ params["text"].T
    return np.asarray((hidden * params["out"]) @ (params["models"] / lengths).T, np.float32)


class BattleLoss:
    """Mean cross-entropy of battles, and its gradients."""

    def __init__(self, params: Params, vectors: NDArray[np.float32], battles: Battles, alpha: float) -> None:
        self.params, self.vectors, self.battles, self.alpha = params, vectors, battles, alpha
        self._starts = np.searchsorted(battles.query, np.arange(len(vectors) + 1))

    def __call__(
        self, rows: IntArray, rng: np.random.Generator | None
    ) -> tuple[float, Mapping[str, NDArray[Any]]]:
        starts, counts = self._starts[rows], self._starts[rows + 1] - self._starts[rows]
        total = max(int(counts.sum()), 1)
        at = np.repeat(np.arange(len(rows)), counts)
        chosen = np.arange(len(at)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        first, second = self.battles.first[chosen], self.battles.second[chosen]
        wanted = self.battles.pref_b[chosen]
        x = noisy(self.vectors[rows], self.alpha, rng)
        models, out = self.params["models"], self.params["out"]
        lengths = np.maximum(np.linalg.norm(models, axis=1, keepdims=True), _LEAST_LENGTH)
        units = models / lengths
        hidden = x @ self.params["text"].T
        found = (hidden * out) @ units.T
        gaps = found[at, second] - found[at, first]
        value = float(cross_entropy(gaps, wanted).sum()) / total
        if rng is None:
            return value, {}
        pulls = (sigmoid(gaps) - wanted) / total
        size, k = found.size, found.shape[1]
        back = np.bincount(at * k + second, pulls, size) - np.bincount(at * k + first, pulls, size)
        back = back.reshape(found.shape).astype(np.float32)  # d loss / d delta
        on_hidden = back @ units
        on_units = back.T @ (hidden * out)
        along = np.einsum("kd,kd->k", on_units, units)[:, None]
        return value, {
            "models": (on_units - along * units) / lengths,
            "text": (on_hidden * out).T @ x,
            "out": np.einsum("nd,nd->d", on_hidden, hidden),
        }
