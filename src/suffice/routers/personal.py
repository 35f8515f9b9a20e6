"""What routers share that learn users' preferences: one rating for everybody, and users' histories.

For everybody a model's rating is linear in the query's vector (`linear_battles`). A subclass says by how
much a user's history shifts the ratings. A user is `annotator` in preferences and `user` in a query; a
query of an unknown user, or of none, gets the scores for everybody. What a user likes is not carried
to queries unlike the training queries, which get what everybody's ratings are in the mean. `observe`
takes up new interactions, also of new users, and trains nothing again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.artefact import Arrays
from suffice.routers.battles import Battles
from suffice.routers.descent import with_one
from suffice.routers.draws import text_draws
from suffice.routers.histories import History, packed, unpacked
from suffice.routers.linear_battles import fit_linear
from suffice.routers.pairwise import PairwiseRouter
from suffice.routers.preferring import expected_win_rates, known_battles
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

_MAX_HISTORY: Final = 500
"""Interactions kept of a user: the latest."""


class PersonalRouter(PairwiseRouter):
    """A subclass learns from histories and shifts ratings by them."""

    needs_embedder = True
    max_battles: ClassVar[int] = 30_000

    projection: Projection
    dimensions: int

    def _fit(self, outcomes: Outcomes) -> None:
        super()._fit(outcomes)
        self._take({})

    def fit_preferences(self, preferences: Preferences) -> Self:
        """Learn what everybody prefers, then, from pairs with an annotator, how users differ.

        The same pairs serve both, so that of a user's difference a share of about one in the number of
        users is in the common rating already.
        """
        super().fit_preferences(preferences)
        self._take(self._histories(known_battles(preferences)))
        return self

    def observe(self, preferences: Preferences) -> Self:
        """Add new interactions to their users' histories; nothing is trained again.

        Pairs without annotator or known preference, or with a model that the router was not trained on,
        are left out.
        """
        self._check_fitted()
        names = set(self.arms_)
        kept = [
            row
            for row in range(len(preferences))
            if preferences.model_a[row] != preferences.model_b[row]
            and {preferences.model_a[row], preferences.model_b[row]} <= names
            and not np.isnan(preferences.pref_b[row])
        ]
        for user, later in self._histories(preferences.select(kept)).items():
            before = self.histories_.get(user)
            history = later if before is None else before.followed_by(later, _MAX_HISTORY)
            self.histories_[user] = history
            self._note(user, history)
        return self

    @property
    def users(self) -> tuple[str, ...]:
        """Those whose histories are known."""
        self._check_fitted()
        return tuple(self.histories_)

    def _take(self, histories: dict[str, History]) -> None:
        self._learn_users(histories)
        self.histories_ = histories
        for user, history in histories.items():
            self._note(user, history)

    @abstractmethod
    def _learn_users(self, histories: Mapping[str, History]) -> None:
        """Learn how users differ; there may be none."""

    @abstractmethod
    def _note(self, user: str, history: History) -> None:
        """A user's history is now this one."""

    @abstractmethod
    def _shift(self, user: str, inputs: FloatArray) -> FloatArray:
        """(n, K): what a known user adds to the ratings on queries of these inputs (n, D)."""

    def _learn(self, battles: Battles) -> tuple[IntArray, FloatArray]:
        self.vectors_, vectors = TextVectors.learn(
            battles.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        self.names_ = battles.models
        self.theta_, held, ratings = fit_linear(_with_one(vectors), battles)
        return held, expected_win_rates(ratings)

    def _histories(self, known: Preferences) -> dict[str, History]:
        """By annotator, in the order given, of pairs whose models are all trained on."""
        place = {model: k for k, model in enumerate(self.names_)}
        rows_of: dict[str, list[int]] = {}
        for row, user in enumerate(known.annotator):
            if user is not None:
                rows_of.setdefault(user, []).append(row)
        if not rows_of:
            return {}
        inputs = _with_one(self.vectors_(known.query))
        first = np.array([place[model] for model in known.model_a], np.intp)
        second = np.array([place[model] for model in known.model_b], np.intp)
        gaps = np.einsum("nd,nd->n", inputs, self.theta_[second] - self.theta_[first])
        every = History(inputs, first, second, np.asarray(known.pref_b, np.float64), gaps)
        return {
            user: every.select(np.array(chosen[-_MAX_HISTORY:], np.intp))
            for user, chosen in sorted(rows_of.items())
        }

    def _win_rates(self, vectors: NDArray[np.float32]) -> FloatArray:
        return expected_win_rates(_with_one(vectors) @ self.theta_.T)

    def ratings(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K): ratings in logits, each for its query's user; the arms are sorted by name."""
        self._check_fitted()
        return self._ratings(self.vectors_([query.text for query in queries]), queries)

    def _ratings(self, vectors: NDArray[np.float32], queries: Sequence[Query]) -> FloatArray:
        inputs = _with_one(vectors)
        found = inputs @ self.theta_.T
        rows_of: dict[str, list[int]] = {}
        for row, query in enumerate(queries):
            if query.user is not None and query.user in self.histories_:
                rows_of.setdefault(query.user, []).append(row)
        for user, rows in rows_of.items():
            found[rows] += self._shift(user, inputs[rows])
        return np.asarray(found)

    def _quality(self, vectors: NDArray[np.float32], queries: Sequence[Query]) -> FloatArray:
        common = super()._quality(vectors, queries)
        if not any(query.user in self.histories_ for query in queries if query.user is not None):
            return common
        own = expected_win_rates(self._ratings(vectors, queries))
        return np.asarray(common + own - self._win_rates(vectors))

    def _evidence(self, query: Query) -> tuple[str, ...]:
        history = self.histories_.get(query.user) if query.user is not None else None
        known = "no history of this user" if history is None else f"{len(history)} choices of this user"
        learnt = f"learnt from {self.n_train_} queries and {len(self.histories_)} users"
        return (*self.vectors_.evidence(query.text), learnt, known)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays = self._pair_state() | self.vectors_.state() | {"theta": self.theta_}
        arrays |= packed(self.histories_, self.theta_.shape[1])
        return arrays, {"slope": self.slope_, "users": list(self.histories_)}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._restore_pairs(arrays, facts)
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        self.names_ = tuple(sorted(self.arms_))
        k, width = len(self.arms_), self.vectors_.dimensions + 1
        self.theta_ = arrays.take("theta", "f", (k, width))
        self._restore_users(arrays)
        self.histories_ = dict(unpacked(arrays, list(facts["users"]), width, k))
        for user, history in self.histories_.items():
            self._note(user, history)

    @abstractmethod
    def _restore_users(self, arrays: Arrays) -> None:
        """What `_learn_users` learnt."""

    def _reject(self, is_wrong: bool, given: str, needed: str) -> None:
        if is_wrong:
            raise ConfigError(f"{self.name} with {given}; {needed}")


def _with_one(vectors: NDArray[np.float32]) -> FloatArray:
    return with_one(vectors).astype(np.float64)


def in_text_order(history: History, seed: int) -> History:
    """The same interactions in an order that does not depend on the one they were given in."""
    rounded = np.round(history.inputs, 5)
    draws = text_draws([row.tobytes().hex() for row in rounded], seed)
    return history.select(np.lexsort((history.pref_b, history.second, history.first, draws)))
