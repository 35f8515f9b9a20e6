"""Battles: on a query one model's answer was preferred to another's; from judges or from quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from suffice.outcomes import Preferences
from suffice.routers.draws import text_draws
from suffice.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False, slots=True)
class Battles:
    """One row per battle, the same in whichever order queries and models were given."""

    models: tuple[str, ...]
    """Sorted by name."""
    texts: tuple[str, ...]
    """Each query once, ordered by `draws`."""
    draws: NDArray[np.uint64]
    """(U,): random numbers that belong to the texts."""
    query: IntArray
    """(N,): which of `texts`, ascending."""
    first: IntArray
    """(N,): which of `models` is a; always less than b."""
    second: IntArray
    """(N,): which is b."""
    pref_b: FloatArray
    """(N,), in [0, 1]: 1 where b was preferred, 0.5 for a tie."""

    def __len__(self) -> int:
        return len(self.query)

    def per_query(self) -> float:
        """How many battles a model fights, in the mean, on a query on which it fights at all."""
        k = len(self.models)
        fights = np.union1d(self.query * k + self.first, self.query * k + self.second)
        return 2 * len(self) / len(fights) if len(fights) else 1.0

    def surprises(self, rates: FloatArray) -> FloatArray:
        """(U, K): share of its battles that a model won on a query, minus its rate; NaN without any."""
        size, k = (len(self.texts), len(self.models)), len(self.models)
        won, fought = np.zeros((2, *size))
        for model, wins in ((self.second, self.pref_b), (self.first, 1 - self.pref_b)):
            won += np.bincount(self.query * k + model, wins, won.size).reshape(size)
            fought += np.bincount(self.query * k + model, None, won.size).reshape(size)
        return np.where(fought > 0, won / np.maximum(fought, 1), np.nan) - rates

    @classmethod
    def of_preferences(cls, preferences: Preferences, *, seed: int = 0) -> Battles:
        """Of pairs with a known preference between different models (`known_battles`)."""
        models = preferences.models
        place = {model: k for k, model in enumerate(models)}
        a = np.array([place[model] for model in preferences.model_a], np.intp)
        b = np.array([place[model] for model in preferences.model_b], np.intp)
        texts, draws, rows = _distinct(preferences.query, seed)
        return _sorted(models, texts, draws, rows, a, b, preferences.pref_b)

    @classmethod
    def of_quality(
        cls,
        texts: Sequence[str],
        models: Sequence[str],
        quality: FloatArray,
        *,
        seed: int = 0,
        max_battles: int,
    ) -> Battles:
        """Every pair of models on every query, ties included: pref_b = (1 + q_b - q_a) / 2.

        Parameters
        ----------
        quality : shape (n, K), in [0, 1]; NaN for unknown, which fights no battle
        max_battles : about how many to keep, drawn by text and names alone
        """
        distinct, draws, rows = _distinct(texts, seed)
        names = text_draws(models, seed)
        pairs = list(combinations(range(len(models)), 2))
        share = max_battles / max(len(texts) * len(pairs), 1)
        limit = np.uint64(min(share, 1.0) * (2**64 - 2**12))
        salt = draws[rows]
        found: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
        for a, b in pairs:
            gaps = quality[:, b] - quality[:, a]
            kept = ~np.isnan(gaps)
            if share < 1:
                kept &= _mixed(salt ^ (names[a : a + 1] + names[b : b + 1])) <= limit
            chosen = np.flatnonzero(kept)
            ones = np.ones(len(chosen), np.intp)
            found.append((rows[chosen], ones * a, ones * b, (1 + gaps[chosen]) / 2))
        columns = [np.concatenate(column) for column in zip(*found, strict=True)] if found else []
        if not columns:
            none = np.empty(0, np.intp)
            columns = [none, none, none, np.empty(0)]
        query, first, second, pref_b = columns
        return _sorted(tuple(models), distinct, draws, query, first, second, pref_b)


def _distinct(
    texts: Sequence[str], seed: int
) -> tuple[tuple[str, ...], NDArray[np.uint64], NDArray[np.intp]]:
    """Each text once, by draw; their draws; and where each given text stands there."""
    own, at, rows = np.unique(text_draws(texts, seed), return_index=True, return_inverse=True)
    return tuple(texts[one] for one in at.tolist()), own, rows.reshape(-1)


def _sorted(
    models: tuple[str, ...],
    texts: tuple[str, ...],
    draws: NDArray[np.uint64],
    query: IntArray,
    a: IntArray,
    b: IntArray,
    pref_b: FloatArray,
) -> Battles:
    by_name = sorted(range(len(models)), key=models.__getitem__)
    rank = np.empty(len(models), np.intp)
    rank[by_name] = np.arange(len(models))
    a, b = rank[a], rank[b]
    first, second = np.minimum(a, b), np.maximum(a, b)
    preferred = np.where(a <= b, pref_b, 1 - pref_b)
    order = np.lexsort((preferred, second, first, query))
    return Battles(
        tuple(models[k] for k in by_name),
        texts,
        draws,
        query[order],
        first[order],
        second[order],
        preferred[order],
    )


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Well mixed bits (splitmix64's finaliser, Steele et al., 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)), np.uint64)
