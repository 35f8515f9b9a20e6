"""What latent routers share that learn each arm's chance of being right, query by query.

A form maps the query's vector and the arms' vectors to logits; it is trained on cross-entropy with
quality as soft target. What the arms share and what tells them apart is then believed as far as queries
held out from some members bear out (`shrinkage`), around the arms' means.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from suffice.outcomes import Outcomes
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.descent import (
    Params,
    Schedule,
    committee,
    cross_entropy,
    means_of,
    members_of,
    noisy,
    sigmoid,
    with_one,
)
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import towards_means
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, IntArray, Query

Grads = dict[str, NDArray[Any]]


class LatentRouter(BaseRouter):
    """A subclass names its parameters and gives logits and gradients of one member."""

    needs_embedder = True
    arrays_: ClassVar[tuple[str, ...]]
    """Names of the parameters, as in the artefact."""

    alpha: float
    lr: float
    weight_decay: float
    batch: int
    max_epochs: int
    members: int
    projection: Projection
    dimensions: int
    seed: int

    def _fit(self, outcomes: Outcomes) -> None:
        schedule = self._schedule()
        texts, quality = outcomes.texts, np.asarray(outcomes.quality, np.float64)
        self.vectors_, vectors = TextVectors.learn(
            texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        self._remember(vectors, text_draws(texts, self.seed))
        inputs = with_one(vectors)
        self.params_, folds = committee(
            lambda seed: self._start(outcomes.arms, inputs.shape[1], seed),
            lambda params: QualityLoss(self, params, inputs, quality),
            text_draws(texts, self.seed),
            schedule,
            n_members=self.members,
            seed=self.seed,
        )
        found = np.array([self._chances(params, inputs) for params in members_of(self.params_)])
        self.means_ = arm_means(quality)
        self.centre_ = means_of(found.mean(axis=0), ~np.isnan(quality))
        self.shares_ = ~np.isnan(self.means_) / max(int((~np.isnan(self.means_)).sum()), 1)
        held = np.flatnonzero(folds >= 0)
        self.slopes_ = self._believed(found[folds[held], held], quality[held])

    def _believed(self, chances: FloatArray, quality: FloatArray) -> list[float]:
        """Slopes of the shared and of the arms' own part, from members that did not see the queries."""
        shared, own, is_known = shared_and_own(quality - self.means_)
        predicted, apart = self._parts(chances)
        sums = HeldOut(1, 1 + quality.shape[1])
        sums.add(0, np.hstack((predicted, np.where(is_known, apart, 0.0))).T, np.hstack((shared, own)).T)
        return [sums.slope(0, slice(0, 1)), sums.slope(0, slice(1, None))]

    def _parts(self, chances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, 1) and (n, K): chances relative to the arms' mean ones, shared and own."""
        gaps = chances - self.centre_
        shared = (gaps[:, : len(self.shares_)] @ self.shares_)[:, None]
        return shared, gaps - shared

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors, trust = self.vectors_.read([query.text for query in queries])
        inputs = with_one(self._inputs(vectors))
        members = [self._chances(params, inputs) for params in members_of(self.params_)]
        shared, own = self._parts(np.mean(members, axis=0))
        scores = np.asarray(self.means_ + (self.slopes_[0] * shared + self.slopes_[1] * own))
        return towards_means(scores, self.means_, trust)

    def _chances(self, params: Params, inputs: NDArray[np.float32]) -> FloatArray:
        return np.asarray(sigmoid(self._logits(params, inputs)), np.float64)

    def _inputs(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the form reads of queries' vectors."""
        return vectors

    def _remember(self, vectors: NDArray[np.float32], draws: NDArray[np.uint64]) -> None:
        """Keep what `_inputs` needs of the training texts' vectors."""

    @abstractmethod
    def _start(self, arms: Sequence[str], width: int, seed: int) -> Params:
        """First parameters, for inputs of that width."""

    @abstractmethod
    def _logits(self, params: Params, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, K)."""

    @abstractmethod
    def _gradients(self, params: Params, inputs: NDArray[np.float32], back: NDArray[np.float32]) -> Grads:
        """By parameter, from the loss's gradients (n, K) in the logits."""

    def _schedule(self) -> Schedule:
        schedule = Schedule(self.lr, self.weight_decay, self.batch, self.max_epochs)
        schedule.check(self.name)
        return schedule

    def _evidence(self, query: Query) -> tuple[str, ...]:
        shared, own = self.slopes_
        return (
            *self.vectors_.evidence(query.text),
            f"learnt from {self.n_train_} queries by {len(self.params_[self.arrays_[0]])} members",
            f"believed {shared:.2f} times on what the arms share, {own:.2f} on what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {f"latent_{name}": self.params_[name] for name in self.arrays_}
        arrays |= {"means": self.means_, "centre": self.centre_, "shares": self.shares_}
        return arrays | self.vectors_.state(), {"slopes": self.slopes_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._schedule()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        k = len(self.arms_)
        self.means_ = arrays.take("means", "f", (k,), finite=False)
        self.centre_ = arrays.take("centre", "f", (k,))
        self.shares_ = arrays.take("shares", "f", (None,))
        shapes = self._start(self.arms_, self.vectors_.dimensions + 1, 0)
        self.params_ = {
            name: arrays.take(f"latent_{name}", "f", (None, *shapes[name].shape)) for name in self.arrays_
        }
        if len({len(param) for param in self.params_.values()}) != 1 or len(self.shares_) > k:
            raise ValueError("parameters of different members, or shares of more arms than there are")
        shared, own = facts["slopes"]
        self.slopes_ = [float(shared), float(own)]


class QualityLoss:
    """Mean cross-entropy of known quality, and its gradients."""

    def __init__(
        self, form: LatentRouter, params: Params, inputs: NDArray[np.float32], quality: FloatArray
    ) -> None:
        self.form, self.params, self.inputs = form, params, inputs
        self._known = ~np.isnan(quality)
        self._targets = np.where(self._known, quality, 0.0).astype(np.float32)

    def __call__(
        self, rows: IntArray, rng: np.random.Generator | None
    ) -> tuple[float, Mapping[str, NDArray[Any]]]:
        inputs = noisy(self.inputs[rows], self.form.alpha, rng)
        logits, known, targets = (
            self.form._logits(self.params, inputs),
            self._known[rows],
            self._targets[rows],
        )
        total = max(int(known.sum()), 1)
        if rng is None:
            return float(cross_entropy(logits, targets)[known].sum()) / total, {}
        back = np.where(known, sigmoid(logits) - targets, 0).astype(np.float32) / np.float32(total)
        return 0.0, self.form._gradients(self.params, inputs, back)
