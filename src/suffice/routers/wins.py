"""Wins of every pair of models by query, to be added up with a weight on each query."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.routers.artefact import Arrays
from suffice.routers.battles import Battles
from suffice.types import FloatArray, IntArray

_FILLING: Final = 4
"""A table of all queries and pairs is kept where at least one in so many entries is filled."""


class WinCounts:
    """For T tiers or models; a pair's number is first * T + second, first < second."""

    def __init__(
        self,
        n_queries: int,
        n_tiers: int,
        query: NDArray[np.int32],
        pair: NDArray[np.int32],
        won: NDArray[np.float32],
        games: NDArray[np.float32],
        n_battles: int,
    ) -> None:
        """
        Parameters
        ----------
        query, pair : (E,): each combination that fought, once, ascending
        won, games : (E,): what the pair's second won there, of how many battles
        """
        self.query, self.pair, self.won, self.games = query, pair, won, games
        self.n_queries, self.n_tiers, self.n_battles = n_queries, n_tiers, n_battles
        self._pairs, place = np.unique(pair, return_inverse=True)
        self._place = place.reshape(-1)
        self._dense: NDArray[np.float32] | None = None
        n_pairs = len(self._pairs)
        if len(query) * _FILLING > n_queries * n_pairs:
            self._dense = np.zeros((n_queries, 2 * n_pairs), np.float32)
            self._dense[query, self._place] = won
            self._dense[query, n_pairs + self._place] = games

    @classmethod
    def of_battles(cls, battles: Battles, tiers: IntArray) -> WinCounts:
        """Battles of two models of one tier are left out: they say nothing about tiers."""
        n_tiers = int(tiers.max()) + 1
        first, second = tiers[battles.first], tiers[battles.second]
        between = np.flatnonzero(first != second)
        first, second, pref_b = first[between], second[between], battles.pref_b[between]
        pref_b = np.where(first < second, pref_b, 1 - pref_b)
        pair = np.minimum(first, second) * n_tiers + np.maximum(first, second)
        keys, place = np.unique(battles.query[between] * n_tiers**2 + pair, return_inverse=True)
        place = place.reshape(-1)
        return cls(
            len(battles.texts),
            n_tiers,
            (keys // n_tiers**2).astype(np.int32),
            (keys % n_tiers**2).astype(np.int32),
            np.bincount(place, weights=pref_b, minlength=len(keys)).astype(np.float32),
            np.bincount(place, minlength=len(keys)).astype(np.float32),
            len(battles),
        )

    def table(self, weights: NDArray[np.float32]) -> FloatArray:
        """(T, T): weighted wins of each row against each column, from weights (n_queries,)."""
        n_pairs = len(self._pairs)
        sums: FloatArray
        if self._dense is not None:
            sums = (weights @ self._dense).astype(np.float64)
        else:
            each = weights[self.query]
            parts = (each * self.won, each * self.games)
            sums = np.concatenate([np.bincount(self._place, part, n_pairs) for part in parts])
        won, games = sums[:n_pairs], sums[n_pairs:]
        first, second = self._pairs // self.n_tiers, self._pairs % self.n_tiers
        out = np.zeros((self.n_tiers, self.n_tiers))
        out[second, first] = won
        out[first, second] = np.maximum(games - won, 0)
        return out

    def log_loss(self, rows: IntArray, ratings: FloatArray) -> float:
        """Mean over the battles of these queries, from ratings (n, T); infinite without any."""
        place = np.full(self.n_queries, -1)
        place[rows] = np.arange(len(rows))
        at = place[self.query]
        chosen = np.flatnonzero(at >= 0)
        first, second = np.divmod(self.pair[chosen], self.n_tiers)
        gaps = ratings[at[chosen], second] - ratings[at[chosen], first]
        won, games = self.won[chosen], self.games[chosen]
        loss = won * np.logaddexp(0, -gaps) + (games - won) * np.logaddexp(0, gaps)
        return float(loss.sum() / games.sum()) if len(chosen) else np.inf

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays for a router's artefact."""
        return {
            "wins_query": self.query,
            "wins_pair": self.pair,
            "wins_won": self.won,
            "wins_games": self.games,
        }

    @classmethod
    def restore(cls, arrays: Arrays, n_queries: int, n_tiers: int, n_battles: int) -> WinCounts:
        """The reverse of `state`.

        Raises
        ------
        ArtefactError
            If an array is missing or of another shape.
        ValueError
            If it names a query or a pair that is none.
        """
        query = arrays.take("wins_query", "i", (None,))
        pair = arrays.take("wins_pair", "i", query.shape)
        if len(query) and not (
            query.min() >= 0 and query.max() < n_queries and pair.min() >= 0 and pair.max() < n_tiers**2
        ):
            raise ValueError("battles of queries or models that are not there")
        won, games = (arrays.take(name, "f", query.shape) for name in ("wins_won", "wins_games"))
        return cls(n_queries, n_tiers, query, pair, won, games, n_battles)
