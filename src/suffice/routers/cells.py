"""Rows in an order in which like stands beside like, so that a search need only read a few stretches.

Unit rows are sorted into cells of like direction by spherical k-means (Dhillon and Modha, 2001, Concept
Decompositions for Large Sparse Text Data using Clustering), the cells along a path from each to the
nearest not yet passed, and the rows of a cell from the cell before towards the cell after. Cut into
blocks of equal size the order makes an inverted file (Sivic and Zisserman, 2003) without lists: half a
cell to a block finds as many true neighbours as whole cells do, and reads the same number of rows for
every query.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import IntArray

Float32 = NDArray[np.float32]

_CELLS_PER_ROOT: Final = 2.0
_ROWS_PER_CELL: Final = 64
"""Centres are learnt from at most so many rows for each: more move them little."""
_N_STEPS: Final = 8
_BLOCK: Final = 2048
"""Rows compared with all centres at once."""


def like_by_like(vectors: Float32) -> NDArray[np.int32]:
    """(n,): row numbers in that order; rows (n, d) are of length 1, or 0.

    It does not depend on the order in which rows are given, save for rounding: the first centres are
    rows at even distances when all are lined up along one direction.
    """
    n, width = vectors.shape
    n_cells = min(n, round(_CELLS_PER_ROOT * n**0.5))
    direction = np.random.default_rng(0).standard_normal(width, np.float32)
    line = np.argsort(vectors @ direction, kind="stable")
    centres = vectors.take(_evenly(line, n_cells), axis=0)
    sample = vectors.take(_evenly(line, n_cells * _ROWS_PER_CELL), axis=0)
    for _ in range(_N_STEPS):
        centres = _moved(centres, sample, _nearest(sample, centres))
    cells = _nearest(vectors, centres)
    path = _path(centres)
    place = np.empty(n_cells, np.intp)
    place[path] = np.arange(n_cells)
    way = centres.take(np.roll(path, -1), axis=0) - centres.take(np.roll(path, 1), axis=0)
    along = np.einsum("nd,nd->n", vectors, way.take(place.take(cells), axis=0))
    return np.lexsort((along, place.take(cells))).astype(np.int32)


def _evenly(line: IntArray, n: int) -> IntArray:
    """n of them at even distances, or all."""
    if n >= len(line):
        return line
    return line.take(np.linspace(0, len(line) - 1, n).astype(np.intp))


def _nearest(vectors: Float32, centres: Float32) -> NDArray[np.int32]:
    """(n,): the centre of the largest cosine."""
    found = np.empty(len(vectors), np.int32)
    for start in range(0, len(vectors), _BLOCK):
        found[start : start + _BLOCK] = (vectors[start : start + _BLOCK] @ centres.T).argmax(axis=1)
    return found


def _moved(centres: Float32, rows: Float32, cells: NDArray[np.int32]) -> Float32:
    """Centres in the direction of their rows' mean; one without rows stays."""
    order = np.argsort(cells, kind="stable")
    filled, starts = np.unique(cells.take(order), return_index=True)
    moved = centres.copy()
    moved[filled] = unit_rows(np.add.reduceat(rows.take(order, axis=0), starts, axis=0))
    return moved


def _path(centres: Float32) -> IntArray:
    """(C,): from the first to the nearest not yet passed, and so on."""
    likeness = centres @ centres.T
    path = np.zeros(len(centres), np.intp)
    for step in range(1, len(path)):
        likeness[:, path[step - 1]] = -np.inf
        path[step] = likeness[path[step - 1]].argmax()
    return path


def unit_rows(rows: Float32) -> Float32:
    """The same directions at length 1; a zero row stays."""
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    norms[norms == 0] = 1
    return np.asarray(rows / norms, np.float32)
