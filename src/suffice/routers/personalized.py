"""Personal ratings: what a user adds to everybody's ratings, with a prior learnt from other users.

PersonalizedRouter (2025, arXiv 2511.16883) learns each user's preferences over models from their
interactions by a graph network with user nodes. Departure: in place of the network a random-effects
model, since a user brings 5 to 50 interactions only. User u adds

    shift_m(x) = W_u[m] . (1, z(x)),   W_u ~ N(0, S x T),

z the leading coordinates of the query's vector, S (K, K) how users' liking of one model goes with that of
another, T diagonal (how much of it is general, how much depends on the query). S and T are the empirical
Bayes estimates (expectation maximisation with a normal approximation, Rasmussen and Williams, 2006,
section 3.4): users that differ along one line, such as how much they mind brevity, make S nearly of
rank one, and then a few choices tell where a user stands. W_u is the most probable one (MAP).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.descent import sigmoid
from suffice.routers.histories import History
from suffice.routers.personal import PersonalRouter, in_text_order
from suffice.routers.vectors import Projection
from suffice.types import FloatArray

_NEWTON: Final = 12
_TOLERANCE: Final = 1e-6
_MAX_USERS: Final = 300
"""Users from whom the prior is learnt, where there are more."""
_MAX_FOR_PRIOR: Final = 100
"""Interactions of a user for it."""
_LEAST: Final = 1e-4


class Personalized(PersonalRouter):
    """Everybody's ratings plus a user's own, pulled to nothing by a prior learnt over users."""

    name = "personalized"

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        personal_dimensions: int = 8,
        prior_variance: float = 0.5,
        prior_users: float = 3.0,
        rounds: int = 15,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        personal_dimensions : leading coordinates of the query's vector on which a user's ratings may
            depend, from 0
        prior_variance : of a user's own rating, before any user is known; above 0
        prior_users : weight of that beside what users show, counted in users, above 0
        rounds : of expectation maximisation, from 0
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection
        """
        self.embedder = embedder
        self.personal_dimensions, self.prior_variance = personal_dimensions, prior_variance
        self.prior_users, self.rounds = prior_users, rounds
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _learn_users(self, histories: Mapping[str, History]) -> None:
        self._check_params()
        k, width = self.theta_.shape
        self.own_: dict[str, FloatArray] = {}
        n_directions = 1 + min(self.personal_dimensions, width - 1)
        self.models_ = self.prior_variance * np.eye(k)
        self.directions_ = np.ones(n_directions)
        users = [in_text_order(one, self.seed).select(slice(_MAX_FOR_PRIOR)) for one in histories.values()]
        users = users[:_MAX_USERS]
        for _ in range(self.rounds if users else 0):
            self._improve(users)

    def _improve(self, users: list[History]) -> None:
        """One round: users' posteriors under the prior, and the prior that fits them best."""
        k, n_directions = len(self.models_), len(self.directions_)
        over_models, over_directions = np.zeros((k, k)), np.zeros(n_directions)
        inverse, owns = np.linalg.inv(self.models_), np.zeros((len(users), k, n_directions))

        def add(p: int, second: FloatArray) -> None:
            nonlocal over_models
            over_models = over_models + second / (self.directions_[p] * n_directions)
            over_directions[p] += float(np.einsum("ij,ji->", inverse, second)) / k

        for user, history in enumerate(users):
            z = self._directions(history.inputs)
            dual, curve = self._map(history, z)
            owns[user] = self._weights(history, z, dual)
            spread = self._signs(history) @ self.models_
            precise = np.linalg.inv(self._gram(history, z) + np.diag(1 / curve))
            for p, variance in enumerate(self.directions_.tolist()):
                moved = variance * z[:, p : p + 1] * spread  # (n, K): prior covariance with the gaps
                add(p, variance * self.models_ - moved.T @ precise @ moved)
        apart = owns - owns.mean(axis=0)  # what all have in common says nothing of how users differ
        for p in range(n_directions):
            add(p, apart[:, :, p].T @ apart[:, :, p])
        n, pull = len(users), self.prior_users
        variance = float(np.trace(over_models)) / (k * n)
        self.models_ = (over_models + pull * variance * np.eye(k)) / (n + pull)
        found = (over_directions + pull * self.directions_) / (n + pull)
        found[1:] = found[1:].mean() if n_directions > 1 else 1.0
        scale = max(float(found[0]), _LEAST)  # only the product of both is known
        self.models_ *= scale
        self.directions_ = np.maximum(found / scale, _LEAST)

    def _map(self, history: History, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Newton's method for the dual (n,) of the MAP shift, and the likelihood's curvature (n,)."""
        gram, dual = self._gram(history, z), np.zeros(len(z))
        moved = np.zeros(len(z))
        curve = np.full(len(z), 0.25)
        for _ in range(_NEWTON):
            chance = sigmoid(history.gaps + moved)
            curve = np.maximum(chance * (1 - chance), 1e-3)
            right = moved + (history.pref_b - chance) / curve
            found = np.linalg.solve(gram + np.diag(1 / curve), right)
            step = found - dual
            dual = found
            moved = gram @ dual
            if float(np.abs(step).max(initial=0)) < _TOLERANCE:
                break
        return dual, curve

    def _gram(self, history: History, z: FloatArray) -> FloatArray:
        """(n, n): prior covariance of the shifts of the gaps."""
        signs = self._signs(history)
        return np.asarray(((z * self.directions_) @ z.T) * (signs @ self.models_ @ signs.T))

    def _signs(self, history: History) -> FloatArray:
        """(n, K): 1 at b, -1 at a."""
        signs, rows = np.zeros((len(history), len(self.models_))), np.arange(len(history))
        signs[rows, history.second] += 1
        signs[rows, history.first] -= 1
        return signs

    def _directions(self, inputs: FloatArray) -> FloatArray:
        """(n, 1 + p): the constant, then the leading coordinates."""
        return np.hstack((np.ones((len(inputs), 1)), inputs[:, : len(self.directions_) - 1]))

    def _weights(self, history: History, z: FloatArray, dual: FloatArray) -> FloatArray:
        """(K, 1 + p): W_u from its dual."""
        pulls = (self._signs(history) * dual[:, None]).T @ z
        return np.asarray(self.models_ @ pulls * self.directions_)

    def _note(self, user: str, history: History) -> None:
        z = self._directions(history.inputs)
        self.own_[user] = self._weights(history, z, self._map(history, z)[0])

    def _shift(self, user: str, inputs: FloatArray) -> FloatArray:
        return np.asarray(self._directions(inputs) @ self.own_[user].T)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, facts = super()._state()
        return arrays | {"prior_models": self.models_, "prior_directions": self.directions_}, facts

    def _restore_users(self, arrays: Arrays) -> None:
        self._check_params()
        k, width = self.theta_.shape
        n_directions = 1 + min(self.personal_dimensions, width - 1)
        self.models_ = arrays.take("prior_models", "f", (k, k))
        self.directions_ = arrays.take("prior_directions", "f", (n_directions,))
        self.own_ = {}

    def _check_params(self) -> None:
        self._reject(
            self.personal_dimensions < 0
            or self.rounds < 0
            or not self.prior_variance > 0
            or not self.prior_users > 0,
            f"personal_dimensions {self.personal_dimensions}, prior_variance {self.prior_variance}, "
            f"prior_users {self.prior_users}, rounds {self.rounds}",
            "personal_dimensions and rounds from 0 and the others above 0 are needed",
        )
