"""Nearest training queries by cosine: exact among few, in the likeliest blocks among many."""

from __future__ import annotations

import math
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError
from suffice.routers.cells import like_by_like, unit_rows

_MAX_EXACT: Final = 8_000
"""Beyond this many rows "auto" looks into blocks: to read all of them costs more than to choose."""

_BLOCKS_PER_ROOT: Final = 4
"""Blocks are of sqrt(n) / 4 rows, so that there are 4 sqrt(n) of them."""
_READ_PER_ROOT: Final = 10
"""10 sqrt(n) rows are read: 1,000 of 10,000, 10,000 of a million."""
_READ_PER_WANTED: Final = 8
"""But at least so many rows for each neighbour that is wanted."""

Found = tuple[NDArray[np.intp], NDArray[np.float32]]


class NeighbourIndex(Protocol):
    """Finds rows by the cosine with a query; rows and queries are unit rows."""

    order: NDArray[np.int32] | None
    """(N,): what to hand to `build_index` so that it is not worked out again; None: nothing."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(N, d)."""
        ...

    def nearest(self, queries: NDArray[np.float32], k: int) -> Found:
        """(n, min(k, N)) row numbers, in any order, and their cosines."""
        ...


class ExactIndex:
    """One product with all vectors, then a partial sort."""

    order: NDArray[np.int32] | None = None

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    @property
    def vectors(self) -> NDArray[np.float32]:
        return self._vectors

    def nearest(self, queries: NDArray[np.float32], k: int) -> Found:
        if len(queries) == 1:
            cosines = self._vectors @ queries[0]
            near = _largest(cosines, k)
            return near[None], cosines[near][None]
        block = queries @ self._vectors.T
        near = np.empty((len(queries), min(k, len(self._vectors))), np.intp)
        for row, cosines in zip(near, block, strict=True):
            row[:] = _largest(cosines, k)
        return near, np.take_along_axis(block, near, axis=1)


class BlockIndex:
    """Rows in blocks of like ones; a search reads the blocks whose mean is nearest to the query.

    Of 10,000 exam questions it reads a tenth and finds 97 % of the 60 nearest; what is missed lies at
    the rim. All blocks are of one size, so that every search takes the same time.
    """

    def __init__(self, vectors: NDArray[np.float32], order: NDArray[np.int32] | None = None) -> None:
        """
        Parameters
        ----------
        vectors : shape (n, d), n >= 1
        order : shape (n,), as `like_by_like` has it; None works it out
        """
        n, width = vectors.shape
        kept = like_by_like(vectors) if order is None else order
        self.order: NDArray[np.int32] | None = kept
        size = max(round(math.sqrt(n) / _BLOCKS_PER_ROOT), 1)
        n_blocks = -(-n // size)
        self._n_empty = n_blocks * size - n  # places of the last block
        blocks = np.zeros((n_blocks * size, width), np.float32)
        np.take(vectors, kept, axis=0, out=blocks[:n])
        self._blocks = blocks.reshape(n_blocks, size, width)
        self._rows = np.zeros((n_blocks, size), np.intp)  # that stand there
        self._rows.reshape(-1)[:n] = kept
        self._n = n
        self._centres = unit_rows(self._blocks.sum(axis=1))

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n, d), as they were given."""
        rows = np.empty((self._n, self._blocks.shape[2]), np.float32)
        rows[self._rows.reshape(-1)[: self._n]] = self._blocks.reshape(-1, rows.shape[1])[: self._n]
        return rows

    def nearest(self, queries: NDArray[np.float32], k: int) -> Found:
        if len(queries) == 1:
            near, cosines = self._nearest(queries[0], k)
            return near[None], cosines[None]
        found = [self._nearest(query, k) for query in queries]
        return np.stack([rows for rows, _ in found]), np.stack([cosines for _, cosines in found])

    def _nearest(self, query: NDArray[np.float32], k: int) -> Found:
        n_blocks, size, width = self._blocks.shape
        n_rows = max(_READ_PER_ROOT * math.sqrt(self._n), _READ_PER_WANTED * k)
        n_read = min(math.ceil(n_rows / size) + 1, n_blocks)
        blocks = _largest(self._centres @ query, n_read)
        cosines = self._blocks.take(blocks, axis=0).reshape(n_read * size, width) @ query
        if self._n_empty:
            last = (blocks == n_blocks - 1).nonzero()[0]
            if len(last):
                end = (int(last[0]) + 1) * size
                cosines[end - self._n_empty : end] = -np.inf
        near = _largest(cosines, min(k, self._n))
        return self._rows.take(blocks, axis=0).take(near), cosines.take(near)


def build_index(
    vectors: NDArray[np.float32],
    kind: Literal["auto", "exact", "approximate"],
    order: NDArray[np.int32] | None = None,
) -> NeighbourIndex:
    """The index of that kind.

    Parameters
    ----------
    order : of an approximate index that was built before

    Raises
    ------
    ArtefactError
        If the order is none of the rows.
    ConfigError
        If there is no such kind.
    """
    if kind not in ("auto", "exact", "approximate"):
        raise ConfigError(f"the index is {kind!r}; one of auto, exact, approximate is needed")
    if kind == "approximate" or (kind == "auto" and len(vectors) > _MAX_EXACT):
        if order is not None and not _is_order(order, len(vectors)):
            raise ArtefactError(f"the order of {len(vectors)} training queries does not name each once")
        return BlockIndex(vectors, order)
    return ExactIndex(vectors)


def _is_order(order: NDArray[np.int32], n: int) -> bool:
    if len(order) != n or order.min() < 0 or order.max() >= n:
        return False
    return bool((np.bincount(order, minlength=n) == 1).all())


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Places of the k largest values, or of all; of equal ones at the end of the list any may be taken.

    To find the k-th largest and compare takes three quarters of the time of a partition of places.
    """
    n = len(values)
    if k >= n:
        return np.arange(n)
    sorted_ = values.copy()
    sorted_.partition(n - k)
    places: NDArray[np.intp] = (values >= sorted_[n - k]).nonzero()[0]
    if len(places) == k:
        return places
    return np.asarray(np.argpartition(values, n - k)[n - k :])
