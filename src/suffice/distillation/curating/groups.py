"""Rows that belong together, by union and find."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from suffice.types import IntArray


class Groups:
    """Of n rows, each alone at first; the smallest row of a group is its root."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, row: int) -> int:
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(self, one: int, other: int) -> None:
        one, other = self.root(one), self.root(other)
        self._parent[max(one, other)] = min(one, other)

    def join_equal(self, keys: Iterable[Hashable]) -> None:
        """Rows with the same key."""
        first: dict[Hashable, int] = {}
        for row, key in enumerate(keys):
            other = first.setdefault(key, row)
            if other != row:
                self.join(row, other)

    def roots(self) -> IntArray:
        """(n,)"""
        return np.array([self.root(row) for row in range(len(self._parent))], np.intp)

    def members(self) -> list[list[int]]:
        """Rows of every group, groups by their first row."""
        found: dict[int, list[int]] = {}
        for row in range(len(self._parent)):
            found.setdefault(self.root(row), []).append(row)
        return list(found.values())


def same_values(values: Sequence[Hashable]) -> Groups:
    """Rows grouped by a value."""
    found = Groups(len(values))
    found.join_equal(values)
    return found
