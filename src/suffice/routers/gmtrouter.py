"""A user's taste read off their history when serving: message passing over users, queries and models.

GMTRouter (2025, arXiv 2511.08590): a heterogeneous graph of users, sessions, queries, models and responses;
messages along its edges make a user's state out of a few interactions, a cross-attention head predicts
which model is preferred, and training is by episodes that split a user's interactions into those seen
and those to predict, so that new users need no training.

Departures: the nodes are users, queries and models, since preferences hold no sessions, and an answer is
only known by its model and whether it was preferred; there is one round of messages and one head with
two kinds of attention (`episodes`), not a deep transformer; ratings for everybody (`personal`) are fitted
first and left as they are, so that the graph only learns how users differ from them; and the shift is
believed as far as users (or, of fewer than ten users, choices) held out bear out, and not at all where
another user's history predicts as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.descent import cross_entropy
from suffice.routers.draws import text_draws
from suffice.routers.episodes import Weights, episode, first_weights, shift_of, state_of
from suffice.routers.histories import History
from suffice.routers.optim import Adam
from suffice.routers.personal import PersonalRouter, in_text_order
from suffice.routers.vectors import Projection
from suffice.types import FloatArray

_MANY_USERS: Final = 10
_N_FOLDS: Final = 5
_BATCH: Final = 8
"""Episodes in a step."""
_PER_USER: Final = 4
"""Episodes of each user held out."""
_MOST: Final = 50
"""Interactions in each half of an episode."""
_CHECK_EVERY: Final = 20
_PATIENCE: Final = 5
_TRUST: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)

Episode = tuple[History, History]


class GMTRouter(PersonalRouter):
    """Everybody's ratings plus a shift computed from the user's history."""

    name = "gmtrouter"

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        latent: int = 16,
        keys: int = 16,
        lr: float = 1e-2,
        max_steps: int = 300,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        latent : length of a model's vector, at least 1
        keys : length of a query's key in attention, at least 1
        lr : step size of Adam, above 0
        max_steps : of training, from 0; users held out may end it before
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection, the first weights and the episodes
        """
        self.embedder = embedder
        self.latent, self.keys, self.lr, self.max_steps = latent, keys, lr, max_steps
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _learn_users(self, histories: Mapping[str, History]) -> None:
        self._check_params()
        self.states_: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {}
        self.trust_ = 1.0
        self.weights_ = self._start()
        inside, held = self._split(
            {user: in_text_order(one, self.seed) for user, one in histories.items() if len(one) > 1}
        )
        if inside and held:
            self._descend(inside, held)
            self.trust_ = self._trusted(held)

    def _start(self) -> Weights:
        return first_weights(self.names_, self.theta_.shape[1], self.latent, self.keys, self.seed)

    def _split(self, histories: dict[str, History]) -> tuple[list[History], list[Episode]]:
        """Histories to draw training episodes from, and the episodes that judge: of other users, or
        where there are few, of the same users' other choices."""
        rng = np.random.default_rng(self.seed)
        users = list(histories)
        if len(users) >= _MANY_USERS:
            by_draw = np.argsort(text_draws(users, self.seed), kind="stable").tolist()
            ordered = [histories[users[at]] for at in by_draw]
            n_held = max(len(users) // _N_FOLDS, 2)
            held = [_drawn(one, rng) for one in ordered[:n_held] for _ in range(_PER_USER)]
            return ordered[n_held:], held
        inside, held = [], []
        for history in histories.values():
            seen, unseen = _parted(history, len(history) - max(len(history) // _N_FOLDS, 1), rng)
            for _ in range(_PER_USER):
                support = seen.select(rng.permutation(len(seen))[: rng.integers(1, _MOST + 1)])
                held.append((support, unseen))
            if len(seen) > 1:
                inside.append(seen)
        return inside, held

    def _descend(self, inside: list[History], held: list[Episode]) -> None:
        """Episodes of random users, until those held out are no better predicted."""
        rng = np.random.default_rng(self.seed + 1)
        adam = Adam(self.weights_, self.lr)
        best, kept, n_worse = self._loss(held), _copy(self.weights_), 0
        for step in range(1, self.max_steps + 1):
            total: dict[str, NDArray[Any]] = {}
            for user in rng.integers(len(inside), size=_BATCH).tolist():
                support, asked = _drawn(inside[user], rng)
                grads = episode(self.weights_, support, asked, with_gradients=True)[1]
                total = {name: total.get(name, 0) + grad / _BATCH for name, grad in grads.items()}
            adam.step(total)
            if step % _CHECK_EVERY:
                continue
            loss = self._loss(held)
            if loss < best:
                best, kept, n_worse = loss, _copy(self.weights_), 0
            else:
                n_worse += 1
            if n_worse >= _PATIENCE:
                break
        self.weights_ = kept

    def _trusted(self, held: list[Episode]) -> float:
        """The least trust whose loss on episodes held out is within a standard error of the best one's;
        0 where the history of another user would do as well, since then users do not differ."""
        losses = np.array([self._losses(held, trust) for trust in _TRUST])
        behind = losses - losses[losses.mean(axis=1).argmin()]
        chosen = int(np.argmax(behind.mean(axis=1) <= _error(behind)))
        strangers = held[_PER_USER:] + held[:_PER_USER]
        swapped = [(other[0], own[1]) for other, own in zip(strangers, held, strict=True)]
        gain = np.array(self._losses(swapped, _TRUST[chosen])) - losses[chosen]
        return _TRUST[chosen] if gain.mean() > _error(gain) else 0.0

    def _loss(self, held: list[Episode]) -> float:
        return float(np.mean(self._losses(held)))

    def _losses(self, held: list[Episode], trust: float = 1.0) -> list[float]:
        """Every episode's mean cross-entropy, if the shift is believed so far."""
        losses = []
        for support, asked in held:
            shift = shift_of(self.weights_, state_of(self.weights_, support), asked.inputs)
            rows = np.arange(len(asked))
            gaps = asked.gaps + trust * (shift[rows, asked.second] - shift[rows, asked.first])
            losses.append(float(cross_entropy(gaps, asked.pref_b).mean()))
        return losses

    def _note(self, user: str, history: History) -> None:
        self.states_[user] = state_of(self.weights_, history)

    def _shift(self, user: str, inputs: FloatArray) -> FloatArray:
        return self.trust_ * shift_of(self.weights_, self.states_[user], inputs)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, facts = super()._state()
        graph = {f"graph_{name}": one for name, one in self.weights_.items()}
        return arrays | graph | {"graph_trust": np.array([self.trust_])}, facts

    def _restore_users(self, arrays: Arrays) -> None:
        self._check_params()
        shapes = {name: one.shape for name, one in self._start().items()}
        self.weights_ = {name: arrays.take(f"graph_{name}", "f", shape) for name, shape in shapes.items()}
        self.trust_ = float(arrays.take("graph_trust", "f", (1,))[0])
        self.states_ = {}

    def _check_params(self) -> None:
        self._reject(
            self.latent < 1 or self.keys < 1 or not self.lr > 0 or self.max_steps < 0,
            f"latent {self.latent}, keys {self.keys}, lr {self.lr}, max_steps {self.max_steps}",
            "latent and keys from 1, lr above 0 and max_steps from 0 are needed",
        )


def _drawn(history: History, rng: np.random.Generator) -> Episode:
    """Some interactions as support, some of the others to predict."""
    n_seen = int(rng.integers(1, min(len(history) - 1, _MOST) + 1))
    support, asked = _parted(history, n_seen, rng)
    return support, asked.select(slice(_MOST))


def _parted(history: History, n_seen: int, rng: np.random.Generator) -> Episode:
    """So many interactions, and the others on other queries; on any if there are no others.

    What is said of two answers to one query would teach to remember queries, not users.
    """
    keys = np.unique(history.inputs @ rng.standard_normal(history.inputs.shape[1]), return_inverse=True)[1]
    ranks = rng.permutation(keys.max() + 1)[keys.reshape(-1)]
    order = np.argsort(ranks, kind="stable")
    others = order[ranks[order] > ranks[order[n_seen - 1]]]
    return history.select(order[:n_seen]), history.select(others if len(others) else order[n_seen:])


def _error(values: FloatArray) -> FloatArray:
    """Standard error of the mean over the last axis."""
    return np.asarray(values.std(axis=-1) / np.sqrt(max(values.shape[-1] - 1, 1)))


def _copy(weights: Weights) -> Weights:
    return {name: one.copy() for name, one in weights.items()}
