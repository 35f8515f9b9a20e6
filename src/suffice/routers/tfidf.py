"""Term weights: rare n-grams count more, columns never seen in training count nothing.

Salton and Buckley (1988), Term-weighting approaches in automatic text retrieval; the smoothed idf
ln((1 + n) / (1 + df)) + 1.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import SparseFeatures

_MAX_TABLE: Final = 1 << 20
"""Columns up to here are looked up in a table of 4 bytes each, 1 MB for the default embedder's words."""


class Places:
    """Where columns stand among the ascending columns that are kept: one gather, or a search."""

    def __init__(self, columns: NDArray[np.int32]) -> None:
        """
        Parameters
        ----------
        columns : (V,), ascending
        """
        self._columns, self.unknown = columns, np.int32(len(columns))
        self._table: NDArray[np.int32] | None = None
        last = int(columns[-1]) if len(columns) else 0
        if last < _MAX_TABLE:
            self._table = np.full(last + 2, self.unknown)  # the last stands for all columns beyond
            self._table[columns] = np.arange(len(columns), dtype=np.int32)

    def of(self, wanted: NDArray[np.int32]) -> NDArray[np.int32]:
        """(n,): places in [0, V), V where a column is not kept."""
        if self._table is not None:
            return self._table.take(wanted, mode="clip")
        places = np.searchsorted(self._columns, wanted).astype(np.int32)
        places[self._columns.take(places, mode="clip") != wanted] = self.unknown
        return places


class Vocabulary:
    """The columns that are kept, and their weights."""

    def __init__(self, columns: NDArray[np.int32], idf: NDArray[np.float32]) -> None:
        """
        Parameters
        ----------
        columns : (V,), ascending: columns of the embedder's features
        idf : (V,)
        """
        self.columns = columns
        self._idf = np.append(idf, np.float32(0))  # the last is that of columns not kept
        self.places = Places(columns)

    @property
    def idf(self) -> NDArray[np.float32]:
        return self._idf[:-1]

    @classmethod
    def learn(cls, rows: SparseFeatures, *, min_rows: int = 1, n_columns: int | None = None) -> Vocabulary:
        """From the rows in which a column occurs.

        Parameters
        ----------
        min_rows : rarer columns are dropped, as long as any is left
        n_columns : at most this many, the most frequent ones
        """
        columns, counts = np.unique(rows.indices, return_counts=True)
        if (counts >= min_rows).any():
            columns, counts = columns[counts >= min_rows], counts[counts >= min_rows]
        if n_columns is not None and len(columns) > n_columns:
            kept = np.sort(np.argsort(-counts, kind="stable")[:n_columns])
            columns, counts = columns[kept], counts[kept]
        idf = np.log((1 + rows.n_rows) / (1 + counts)) + 1
        return cls(columns.astype(np.int32), idf.astype(np.float32))

    def look_up(self, rows: SparseFeatures) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(n_entries,) each: places and idf, of columns not kept V and 0."""
        places = self.places.of(rows.indices)
        return places, self._idf.take(places)

    def weigh_one(self, row: SparseFeatures) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """`weigh` for a decision: places and values, of columns not kept V and 0."""
        places, values = self.look_up(row)
        values *= 1 / (math.sqrt(values.dot(values)) or 1)
        return places, values

    def weigh(self, rows: SparseFeatures) -> SparseFeatures:
        """Rows over the V kept columns, weighted, of length 1 (or empty).

        Presence counts, not frequency: over 14,000 exam questions it ranks two models better.
        """
        places = self.places.of(rows.indices)
        is_kept = places < self.places.unknown
        kept = places.compress(is_kept)
        values = self._idf.take(kept)
        indptr = _kept_starts(rows.indptr, is_kept)
        ids = np.repeat(np.arange(rows.n_rows, dtype=np.int32), np.diff(indptr))
        norms = np.sqrt(np.bincount(ids, weights=values * values, minlength=rows.n_rows))
        norms[norms == 0] = 1
        values /= norms.astype(np.float32).take(ids)
        return SparseFeatures(indptr=indptr, indices=kept, values=values, n_columns=len(self.columns))


def _kept_starts(indptr: NDArray[np.int64], is_kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n + 1,): where the rows start once entries that are not kept are gone."""
    before = np.zeros(len(is_kept) + 1, np.int64)
    np.add.accumulate(is_kept, out=before[1:])
    return before.take(indptr)
