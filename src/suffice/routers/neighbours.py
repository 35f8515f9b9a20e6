"""Nearest training queries by cosine: exact in memory, approximate for very many."""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError, MissingDependency

_MAX_EXACT: Final = 100_000
"""Beyond this many vectors "auto" takes the approximate index: one exact search takes over 2 ms."""

_GROUP: Final = 16
"""Values per group when looking for the largest."""

Found = tuple[NDArray[np.intp], NDArray[np.float32]]


class NeighbourIndex(Protocol):
    """Finds rows by the cosine with a query; rows and queries are unit rows."""

    vectors: NDArray[np.float32]

    def nearest(self, queries: NDArray[np.float32], k: int) -> Found:
        """(n, min(k, N)) row numbers, in any order, and their cosines."""
        ...


class ExactIndex:
    """One product with all vectors, then a partial sort."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    def nearest(self, queries: NDArray[np.float32], k: int) -> Found:
        if len(queries) == 1:
            cosines = self.vectors @ queries[0]
            near = _largest(cosines, k)
            return near[None], cosines[near][None]
        block = queries @ self.vectors.T
        near = np.empty((len(queries), min(k, len(self.vectors))), np.intp)
        for row, cosines in zip(near, block, strict=True):
            row[:] = _largest(cosines, k)
        return near, np.take_along_axis(block, near, axis=1)


class ApproximateIndex:
    """A navigable small-world graph (Malkov and Yashunin, 2018) by usearch, built when made.

    It is built again at load rather than read from disk, where nothing could check it: about 20 s for
    120,000 vectors on one core. There it finds 99 % of the 60 nearest, eight times as fast as all.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        try:
            from usearch.index import Index
        except ImportError as error:
            raise MissingDependency("usearch", "ann", "the approximate neighbour index") from error
        self.vectors = vectors
        self._index: Any = Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
        self._index.add(np.arange(len(vectors)), vectors, threads=1)

    def nearest(self, queries: NDArray[np.float32], k: int) -> Found:
        found = self._index.search(queries, min(k, len(self.vectors)))
        keys = np.atleast_2d(found.keys).astype(np.intp)
        cosines = np.einsum("nd,nkd->nk", queries, self.vectors[keys])
        return keys, cosines


def build_index(
    vectors: NDArray[np.float32], kind: Literal["auto", "exact", "approximate"]
) -> NeighbourIndex:
    """The index of that kind.

    Raises
    ------
    ConfigError
        If there is no such kind.
    MissingDependency
        If the approximate one is wanted, or needed for so many vectors, and not installed.
    """
    if kind not in ("auto", "exact", "approximate"):
        raise ConfigError(f"the index is {kind!r}; one of auto, exact, approximate is needed")
    is_large = len(vectors) > _MAX_EXACT
    if kind == "approximate" or (kind == "auto" and is_large):
        return ApproximateIndex(vectors)
    return ExactIndex(vectors)


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Places of the k largest values, or of all; of equal ones at the end of the list any may be taken.

    The k-th largest of the maxima of disjoint groups is passed by at least k values, and seldom by
    many more, so that only those few need sorting: four times as fast as a partition of all.
    """
    n = len(values)
    if k >= n:
        return np.arange(n)
    n_groups = n // _GROUP
    if n_groups < 2 * k:
        return np.argpartition(values, n - k)[n - k :]
    maxima = values[: n_groups * _GROUP].reshape(_GROUP, n_groups).max(axis=0)
    maxima.partition(n_groups - k)
    able = (values >= maxima[n_groups - k]).nonzero()[0]
    return np.asarray(able[np.argpartition(values[able], len(able) - k)[len(able) - k :]])
