"""What all routers share: the checks around fit and scores, and how they are kept on disk."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError, DataError, NotFitted, UnknownModel
from suffice.outcomes import Outcomes, Preferences
from suffice.protocols import Embedder, FeatureEmbedder, has_features
from suffice.routers.added import AddedArm, extended, learn_arm, luck
from suffice.routers.artefact import Arrays, Artefact, read_artefact, write_artefact
from suffice.routers.preferring import outcomes_of
from suffice.types import Explanation, FloatArray, IntArray, Query

_LOWEST: Final = np.array(0.0)  # arrays are taken sooner than numbers
_HIGHEST: Final = np.array(1.0)


class BaseRouter(ABC):
    """Implements `Router`; a subclass says how to learn, to score and what to keep.

    The constructor only stores its parameters, all JSON values but `embedder`; `fit` sets names
    that end in `_`. Fitting again starts afresh. Scores lie in [0, 1]; the score of an arm without
    any training data is NaN, unknown, and policies rank it last.
    """

    name: ClassVar[str]
    needs_embedder: ClassVar[bool] = False
    extra: ClassVar[str | None] = None
    """The extra without which it cannot be trained (`suffice[extra]`); None needs nothing more."""
    not_in_all: ClassVar[str | None] = None
    """Why `--routers all` leaves it out; None: it takes part."""

    embedder: Embedder | None = None
    arms_: tuple[str, ...]
    """Those that `_scores` scores; `arms` also has those that `add_model` put on top."""
    n_train_: int
    added_: tuple[AddedArm, ...] = ()

    def __init__(self) -> None:  # noqa: B027  so that its signature is that of no parameters
        """No parameters, unless a subclass has some."""

    @property
    def arms(self) -> tuple[str, ...]:
        self._check_fitted()
        return (*self.arms_, *(arm.name for arm in self.added_ if arm.coefficients is not None))

    @property
    def is_fitted(self) -> bool:
        return hasattr(self, "arms_")

    def params(self) -> dict[str, Any]:
        """The constructor's parameters but the embedder, as JSON values."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in names if name not in ("self", "embedder")}

    def fit(self, outcomes: Outcomes) -> Self:
        """Learn from measured quality.

        Raises
        ------
        DataError
            If there are no queries, no arms or no quality at all.
        """
        quality = np.asarray(outcomes.quality, np.float64)
        if quality.size == 0 or np.isnan(quality).all():
            n, k = quality.shape
            raise DataError(
                f"{n} queries x {k} arms hold no score; at least one is needed to train {self.name}"
            )
        self._fit(outcomes)
        return self._fitted(outcomes.arms, len(quality), arm_means(quality))

    def _fitted(self, arms: Sequence[str], n_train: int, means: FloatArray) -> Self:
        """Note what was learnt from: so many queries, on which the arms were so good (K,) in the mean."""
        self.arms_, self.added_, self.n_train_ = tuple(arms), (), n_train
        named = zip(self.arms_, means.tolist(), strict=True)
        self.mean_quality_ = {arm: mean for arm, mean in named if not np.isnan(mean)}
        return self

    def fit_preferences(self, preferences: Preferences) -> Self:
        """Learn from pairs; scores are then expected win rates against the other arms.

        By `outcomes_of`, unless a router has a way of its own.

        Raises
        ------
        DataError
            If no pair has a known preference between two models.
        """
        return self.fit(outcomes_of(preferences))

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Take up a new arm from a few dozen labelled queries; nothing is trained again.

        It is forgotten by the next `fit`.

        Parameters
        ----------
        outcomes : holds the arm `name`; what the trained arms got on the same queries, where it is known,
            tells how hard these are

        Raises
        ------
        DataError
            If the router has that arm already, or no quality of it is known.
        UnknownModel
            If `outcomes` has no such arm.
        """
        self._check_fitted()
        if name in self.arms:
            raise DataError(
                f"the router {self.name!r} has the arm {name!r} already: train it again to replace it"
            )
        if name not in outcomes.arms:
            raise UnknownModel(name, outcomes.arms)
        quality = np.asarray(outcomes.quality[:, outcomes.arms.index(name)], np.float64)
        rows = np.flatnonzero(~np.isnan(quality))
        if not len(rows):
            raise DataError(f"no score of {name!r} is known: at least one labelled query is needed to add it")
        queries, labels = [outcomes.queries[row] for row in rows], quality[rows]
        arm, shift = self._add(name, queries, labels), 0.0
        if arm.coefficients is not None:
            shift = luck(np.asarray(self._scores(queries), np.float64), self._known(outcomes, rows), labels)
            arm = msgspec.structs.replace(arm, intercept=arm.intercept + shift)
        self.added_ = (*self.added_, arm)
        self.mean_quality_ = self.mean_quality_ | {name: float(np.clip(labels.mean() + shift, 0, 1))}
        return self

    def _known(self, outcomes: Outcomes, rows: IntArray) -> FloatArray:
        """(n, K): what the trained arms got on these queries, NaN where that is not known."""
        column = {arm: outcomes.quality[rows, k] for k, arm in enumerate(outcomes.arms)}
        unknown = np.full(len(rows), np.nan)
        return np.column_stack([column.get(arm, unknown) for arm in self.arms_])

    def scores(self, queries: Sequence[Query]) -> FloatArray:
        """(n_queries, n_arms) in [0, 1], NaN for an arm without training data."""
        self._check_fitted()
        if not queries:
            return np.empty((0, len(self.arms)))
        found = np.asarray(self._scores(queries), np.float64)
        if self.added_:
            found = extended(found, self.added_)
        np.maximum(found, _LOWEST, out=found)  # faster than clip, which matters for one query
        np.minimum(found, _HIGHEST, out=found)
        return found

    def save(self, directory: Path, *, trained_at: str | None = None) -> None:
        """Write `router.json` and `arrays.npz`.

        Parameters
        ----------
        directory : made if missing
        trained_at : when it was trained, ISO 8601; decisions read no clock, so the caller says
        """
        self._check_fitted()
        arrays, facts = self._state()
        embedder = self.embedder if self.needs_embedder else None
        artefact = Artefact(
            router=self.name,
            params=self.params(),
            arms=self.arms,
            added=self.added_,
            n_train=self.n_train_,
            trained_at=trained_at,
            embedder=embedder.name if embedder else None,
            dimensions=embedder.dimensions if embedder else None,
            facts=facts,
            mean_quality=self.mean_quality_,
        )
        write_artefact(Path(directory), artefact, arrays)

    @classmethod
    def load(cls, directory: Path, *, embedder: Embedder | None = None) -> Self:
        """A router saved by `save`; nothing in the directory is executed.

        Raises
        ------
        ArtefactError
            If the directory is missing, damaged, of another version or router, or was trained with
            another embedder than the one given.
        """
        artefact, arrays = read_artefact(Path(directory), cls.name, embedder)
        options = {"embedder": embedder} if cls.needs_embedder else {}
        with artefact.blamed(directory):
            router = cls(**artefact.params, **options)
            router.arms_, router.added_ = artefact.trained_arms(), artefact.added
            router.n_train_ = artefact.n_train
            router.mean_quality_ = artefact.mean_quality
            router._restore(Arrays(arrays), artefact.facts)
        return router

    def explain(self, query: Query) -> Explanation:
        """The scores, best first, and what they rest on."""
        scores = self.scores([query])[0]
        order = np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")
        arms = self.arms
        ranked = ", ".join(f"{arms[arm]} {scores[arm]:.3f}" for arm in order)
        later = tuple(arm.evidence() for arm in self.added_)
        return Explanation(summary=f"{self.name}: {ranked}", evidence=(*self._evidence(query), *later))

    @abstractmethod
    def _fit(self, outcomes: Outcomes) -> None:
        """Learn; `outcomes` has at least one known quality."""

    @abstractmethod
    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K) for n >= 1; clipped by the caller."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What was learnt: arrays, and facts as JSON values."""

    @abstractmethod
    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """The reverse of `_state`; `arms_` is set."""

    def _add(self, name: str, queries: Sequence[Query], quality: FloatArray) -> AddedArm:
        """Learn the arm from quality (n,) of n >= 1 queries: by a head on the trained arms' scores.

        A router with a way of its own changes its state and calls `_extend`.
        """
        return learn_arm(name, np.asarray(self._scores(queries), np.float64), quality)

    def _extend(self, name: str, n_labels: int) -> AddedArm:
        """Note an arm that `_scores` scores from now on, as the last."""
        self.arms_ = (*self.arms_, name)
        return AddedArm(name=name, n_labels=n_labels)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        return (f"learnt from {self.n_train_} queries",)

    def _check_fitted(self) -> None:
        if not self.is_fitted:
            raise NotFitted(f"the router {self.name!r}")

    def _embedder(self) -> Embedder:
        if self.embedder is None:
            raise ConfigError(f"the router {self.name!r} has no embedder: pass one, such as HashedNgrams()")
        return self.embedder

    def _feature_embedder(self) -> FeatureEmbedder:
        embedder = self._embedder()
        if not has_features(embedder):
            raise ConfigError(
                f"the router {self.name!r} needs sparse features, which {embedder.name!r} does not have: "
                "pass HashedNgrams(), or take knn with projection: none"
            )
        return embedder


def arm_means(quality: FloatArray) -> FloatArray:
    """(K,): the mean known quality of every arm; NaN where none is known."""
    is_known = ~np.isnan(quality)
    counts = is_known.sum(axis=0)
    means = np.where(is_known, quality, 0.0).sum(axis=0) / np.maximum(counts, 1)
    return np.where(counts > 0, means, np.nan)
