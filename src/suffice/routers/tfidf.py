"""Term weights: rare n-grams count more, columns never seen in training count nothing.

Salton and Buckley (1988), Term-weighting approaches in automatic text retrieval; the smoothed idf
ln((1 + n) / (1 + df)) + 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suffice.types import SparseFeatures


class Vocabulary:
    """The columns that are kept, and their weights."""

    def __init__(self, columns: NDArray[np.int32], idf: NDArray[np.float32]) -> None:
        """
        Parameters
        ----------
        columns : (V,), ascending: columns of the embedder's features
        idf : (V,)
        """
        self.columns, self.idf = columns, idf

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

    def weigh(self, rows: SparseFeatures) -> SparseFeatures:
        """Rows over the V kept columns, weighted, of length 1 (or empty).

        Presence counts, not frequency: over 14,000 exam questions it ranks two models better.
        """
        places, is_kept = look_up(self.columns, rows.indices)
        kept = places[is_kept]
        values = self.idf[kept]
        ids = rows.row_ids()[is_kept]
        norms = np.sqrt(np.bincount(ids, weights=values * values, minlength=rows.n_rows))
        norms[norms == 0] = 1
        indptr = np.zeros(rows.n_rows + 1, np.int64)
        np.cumsum(np.bincount(ids, minlength=rows.n_rows), out=indptr[1:])
        return SparseFeatures(
            indptr=indptr,
            indices=kept.astype(np.int32),
            values=(values / norms[ids]).astype(np.float32),
            n_columns=len(self.columns),
        )


def look_up(
    columns: NDArray[np.int32], wanted: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of the wanted values among the ascending columns, and whether they are there."""
    if not len(columns):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    places = np.searchsorted(columns, wanted)
    places[places == len(columns)] = 0
    return places, columns[places] == wanted
