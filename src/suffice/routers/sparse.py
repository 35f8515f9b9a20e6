"""Products with a sparse matrix, in numpy: gather, multiply, and add up runs of neighbours.

Right-hand sides are rows, which `np.add.reduceat` adds up fastest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suffice.types import SparseFeatures

Float32 = NDArray[np.float32]


class SparseMatrix:
    """An (n, V) matrix X, by rows and by columns."""

    def __init__(self, rows: SparseFeatures) -> None:
        self.rows = rows
        self.shape = (rows.n_rows, rows.n_columns)
        self._by_row = _Runs(rows.row_ids(), rows.indices, rows.values, self.shape[0])
        order = np.argsort(rows.indices, kind="stable")
        self._by_column = _Runs(rows.indices[order], rows.row_ids()[order], rows.values[order], self.shape[1])

    def times(self, weights: Float32) -> Float32:
        """(R, V) to (R, n): X times each row."""
        return self._by_row.sums(weights)

    def transposed_times(self, vectors: Float32) -> Float32:
        """(R, n) to (R, V): X' times each row."""
        return self._by_column.sums(vectors)

    def select(self, chosen: NDArray[np.intp]) -> SparseMatrix:
        """The chosen rows, in that order."""
        lengths = np.diff(self.rows.indptr)[chosen]
        indptr = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        entries = np.arange(indptr[-1]) + np.repeat(self.rows.indptr[chosen] - indptr[:-1], lengths)
        rows = SparseFeatures(
            indptr=indptr,
            indices=self.rows.indices[entries],
            values=self.rows.values[entries],
            n_columns=self.rows.n_columns,
        )
        return SparseMatrix(rows)


class _Runs:
    """Entries ordered by the index of the sum that they belong to."""

    def __init__(
        self, targets: NDArray[np.integer], sources: NDArray[np.integer], values: Float32, n: int
    ) -> None:
        self._sources = sources.astype(np.int32)
        self._values = values
        self._starts = np.flatnonzero(np.diff(targets, prepend=-1))
        self._filled = targets[self._starts]
        self._n = n

    def sums(self, dense: Float32) -> Float32:
        out = np.zeros((len(dense), self._n), np.float32)
        if len(self._starts):
            for row, source in zip(out, dense, strict=True):
                row[self._filled] = np.add.reduceat(source[self._sources] * self._values, self._starts)
        return out
