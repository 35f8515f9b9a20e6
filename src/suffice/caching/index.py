"""Nearest neighbours among the vectors of one tenant and scope.

Few vectors are compared one by one, in numpy; many go into a graph that usearch keeps (Malkov & Yashunin
2018, Hierarchical Navigable Small World graphs). Without the extra [cache] all are compared one by one.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.caching.base import Vector
from suffice.errors import EmbedderError

FEW: Final = 2_000
"""Up to so many vectors a plain product takes less time than a walk through the graph."""
_CONNECTIVITY: Final = 16
_EXPANSION_ADD: Final = 48
_EXPANSION_SEARCH: Final = 16
"""How many neighbours a walk keeps in view."""


class Neighbours:
    """Vectors under numbers of the caller's; cosines with them."""

    def __init__(self, dimensions: int, *, few: int = FEW) -> None:
        """
        Parameters
        ----------
        dimensions : of every vector
        few : above it the graph takes over, if usearch is installed
        """
        self.dimensions, self._few = dimensions, few
        self._rows = np.zeros((0, dimensions), np.float32)
        self._ids: list[int] = []
        self._place: dict[int, int] = {}
        self._graph: Any = None

    def __len__(self) -> int:
        return len(self._place) if self._graph is None else len(self._graph)

    def add(self, number: int, vector: Vector) -> None:
        """Keep a vector under a number that is not taken.

        Raises
        ------
        EmbedderError
            If it has another number of dimensions: it came from another embedder.
        """
        check(vector, self.dimensions)
        if self._graph is not None:
            self._graph.add(number, vector, threads=1)
            return
        n = len(self._ids)
        if n == len(self._rows):
            rows = np.zeros((max(1, 2 * n), self.dimensions), np.float32)
            rows[:n] = self._rows
            self._rows = rows
        self._rows[n] = vector
        self._ids.append(number)
        self._place[number] = n
        if n >= self._few and find_spec("usearch") is not None:
            self._to_graph()

    def remove(self, number: int) -> None:
        """Drop a vector; the last one takes its place."""
        if self._graph is not None:
            self._graph.remove(number)
            return
        place = self._place.pop(number)
        last = self._ids.pop()
        if last != number:
            self._rows[place] = self._rows[len(self._ids)]
            self._ids[place] = last
            self._place[last] = place

    def cosine(self, number: int, vector: Vector) -> float:
        """Of a vector with the one that is kept under a number.

        Raises
        ------
        EmbedderError
            As for `add`.
        """
        check(vector, self.dimensions)
        if self._graph is not None:
            kept = self._graph.get(number, "f32")
            return float(kept @ vector / np.sqrt(kept @ kept))
        return float(self._rows[self._place[number]] @ vector)

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """At most k numbers and cosines, the nearest first.

        Raises
        ------
        EmbedderError
            As for `add`.
        """
        check(vector, self.dimensions)
        if self._graph is not None:
            found = self._graph.search(vector, k, threads=1)
            return list(zip(found.keys.tolist(), (1 - found.distances).tolist(), strict=True))
        n = len(self._ids)
        cosines: NDArray[np.float32] = self._rows[:n] @ vector
        k = min(k, n)
        best = np.argpartition(-cosines, k - 1)[:k] if k < n else np.arange(n)
        best = best[np.argsort(-cosines[best], kind="stable")]
        return [(self._ids[place], float(cosines[place])) for place in best]

    def _to_graph(self) -> None:
        from usearch.index import Index

        n = len(self._ids)
        self._graph = Index(
            ndim=self.dimensions,
            metric="cos",
            dtype="i8",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )
        self._graph.add(np.array(self._ids, np.uint64), self._rows[:n], threads=1)
        self._rows, self._ids, self._place = np.zeros((0, self.dimensions), np.float32), [], {}


def check(vector: Vector, dimensions: int) -> None:
    """Refuse a vector of another embedder.

    Raises
    ------
    EmbedderError
        If it has another number of dimensions.
    """
    if vector.shape != (dimensions,):
        raise EmbedderError(
            f"a vector of shape {vector.shape} cannot be compared with those of {dimensions} "
            "dimensions in this cache: it is from another embedder; `rebuilt` embeds what is kept anew"
        )
