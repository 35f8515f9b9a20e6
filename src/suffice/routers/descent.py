"""How latent routers are trained: Adam on batches of queries, stopped by queries held out.

A few members are trained, each with another share of the queries held out, and averaged: so every query
has a prediction by a member that did not see it, which says how far to believe the method here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.routers.draws import text_draws
from suffice.routers.optim import Adam, minibatches
from suffice.types import FloatArray, IntArray

Params = dict[str, NDArray[np.float32]]

_LEAST_HELD: Final = 10
"""Queries that a member holds out at least; with fewer there is one member, stopped by its training loss."""
_CHECK_EVERY: Final = 20
"""Steps at least between two looks at the queries held out."""
_LEAST_GAIN: Final = 1e-5


class Loss(Protocol):
    """Mean loss of some queries and its gradients; `rng` adds noise to their vectors."""

    def __call__(
        self, rows: IntArray, rng: np.random.Generator | None
    ) -> tuple[float, Mapping[str, NDArray[Any]]]: ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to train, and how fast."""

    lr: float
    weight_decay: float
    batch: int
    """Queries in a batch."""
    max_epochs: int
    patience: int = 5
    """Looks at the queries held out without a gain, after which training ends."""
    max_steps: int = 1500

    def check(self, router: str) -> None:
        """Raises ConfigError if no training could be like this."""
        if not self.lr > 0 or self.weight_decay < 0 or self.batch < 1 or self.max_epochs < 1:
            raise ConfigError(
                f"{router} with lr {self.lr}, weight_decay {self.weight_decay}, batch {self.batch}, "
                f"max_epochs {self.max_epochs}; lr above 0, weight_decay from 0, the others from 1 are needed"
            )


def committee(
    start: Callable[[int], Params],
    loss_of: Callable[[Params], Loss],
    draws: NDArray[np.uint64],
    schedule: Schedule,
    *,
    n_members: int,
    seed: int,
) -> tuple[Params, IntArray]:
    """Members' parameters, stacked, and for each query (n,) the member that held it out, or -1.

    Parameters
    ----------
    start : a member's first parameters, from a seed
    draws : shape (n,): random numbers that belong to the queries' texts; folds and batches follow from
        them, so that the order in which queries are given does not matter
    """
    rows = np.argsort(draws, kind="stable").astype(np.intp)
    folds = (draws % np.uint64(n_members)).astype(np.intp)
    if np.bincount(folds, minlength=n_members).min() < _LEAST_HELD or n_members < 2:
        n_members, folds = 1, np.full(len(draws), -1)
    members = []
    for member in range(n_members):
        params = start(seed + member)
        held, inside = rows[folds[rows] == member], rows[folds[rows] != member]
        _descend(params, loss_of(params), inside, held, schedule, seed + member)
        members.append(params)
    return {name: np.stack([params[name] for params in members]) for name in members[0]}, folds


def members_of(params: Params) -> Iterator[Params]:
    """Each member's own parameters."""
    for member in range(len(next(iter(params.values())))):
        yield {name: param[member] for name, param in params.items()}


def _descend(
    params: Params, loss: Loss, inside: IntArray, held: IntArray, schedule: Schedule, seed: int
) -> None:
    """Change `params` to those of the least held-out loss on the way."""
    judged = held if len(held) else inside
    rng = np.random.default_rng(seed)
    adam = Adam(params, schedule.lr, schedule.weight_decay)
    best, kept = loss(judged, None)[0], {name: param.copy() for name, param in params.items()}
    n_steps, last, n_worse = 0, 0, 0
    for _ in range(schedule.max_epochs):
        for batch in minibatches(len(inside), schedule.batch, rng):
            adam.step(loss(inside[batch], rng)[1])
            n_steps += 1
        if n_steps - last < _CHECK_EVERY:
            continue
        value, last = loss(judged, None)[0], n_steps
        if value < best - _LEAST_GAIN:
            best, n_worse = value, 0
            kept = {name: param.copy() for name, param in params.items()}
        else:
            n_worse += 1
        if n_worse >= schedule.patience or n_steps >= schedule.max_steps:
            break
    for name, param in kept.items():
        params[name][...] = param


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + exp(-x)), of any size."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -40, 40))))


def cross_entropy(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[Any]:
    """Of sigmoid(logits) for targets in [0, 1], element by element."""
    return np.asarray(np.logaddexp(0, logits) - targets * logits)


def with_one(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, d + 1): a constant beside the vector, so that a text of which nothing is known has one too."""
    return np.hstack((vectors, np.ones((len(vectors), 1), np.float32)))


def by_name(names: Sequence[str], width: int, scale: float, seed: int) -> NDArray[np.float32]:
    """(K, width): normal numbers that belong to the names, so that the order of arms does not matter."""
    rows = [np.random.default_rng(draw).standard_normal(width) for draw in text_draws(names, seed).tolist()]
    return np.asarray(scale * np.array(rows).reshape(len(names), width), np.float32)


def noisy(vectors: NDArray[np.float32], alpha: float, rng: np.random.Generator | None) -> NDArray[np.float32]:
    """Vectors plus alpha times a normal direction of about unit length, where `rng` is given."""
    if rng is None or not alpha:
        return vectors
    noise = rng.standard_normal(vectors.shape, np.float32)
    return np.asarray(vectors + np.float32(alpha / np.sqrt(vectors.shape[1])) * noise, np.float32)


def means_of(rates: FloatArray, is_known: NDArray[np.bool_]) -> FloatArray:
    """(K,): mean over the queries on which each arm's quality is known; 0 without any."""
    return np.asarray(np.where(is_known, rates, 0.0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1))
