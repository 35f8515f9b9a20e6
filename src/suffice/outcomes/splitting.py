"""Which queries stay together, and which part each group goes to."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b

import numpy as np

from suffice.errors import DataError
from suffice.outcomes.signatures import near_duplicates
from suffice.types import IntArray, Query


def normalised(text: str) -> str:
    """The text without differences of case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def assign(queries: Sequence[Query], fractions: float | Sequence[float], *, seed: int, by: str) -> IntArray:
    """(n,): the part each query goes to."""
    shares = _shares(fractions)
    keys = [normalised(query.text) or f"\0{query.id}" for query in queries]
    links: list[Iterable[Hashable]] = [keys]
    if by == "task":
        links.append(
            [query.task if query.task is not None else ("", row) for row, query in enumerate(queries)]
        )
    elif by == "cluster":
        links.append(near_duplicates(keys).tolist())
    elif by != "row":
        raise DataError(f"by={by!r}: expected row, cluster or task")
    groups = _components(len(queries), links)
    if len(groups) < len(shares):
        n = "1 query" if len(queries) == 1 else f"{len(queries)} queries"
        if len(queries) < len(shares):
            raise DataError(f"too few: {n} cannot be split into {len(shares)} parts; give more data")
        remedy = "give more different queries" if by == "row" else "split by='row'"
        raise DataError(
            f"{n} in {len(groups)} group{'s' * (len(groups) != 1)} (by={by!r}) cannot fill {len(shares)} "
            f"parts; {remedy}, or into fewer parts"
        )
    return _cut(groups, len(keys), shares, seed) if by == "row" else _fill(groups, keys, shares, seed)


def _shares(fractions: float | Sequence[float]) -> tuple[float, ...]:
    shares = (fractions, 1.0 - fractions) if isinstance(fractions, int | float) else tuple(fractions)
    if not shares or min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise DataError(f"fractions={fractions!r}: expected positive shares that sum to 1, or one in (0, 1)")
    return shares


def _components(n: int, links: Sequence[Iterable[Hashable]]) -> list[list[int]]:
    """Groups of rows that share a value in any of the links (union-find)."""
    parent = list(range(n))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for values in links:
        first: dict[Hashable, int] = {}
        for row, value in enumerate(values):
            other = first.setdefault(value, row)
            if other != row:
                parent[root(row)] = root(other)
    groups: dict[int, list[int]] = {}
    for row in range(n):
        groups.setdefault(root(row), []).append(row)
    return list(groups.values())


def _cut(groups: list[list[int]], n: int, shares: tuple[float, ...], seed: int) -> IntArray:
    """A random permutation of the rows, cut by the shares, as is usual; a group goes with its first row.

    No part stays empty.
    """
    place = np.empty(n, dtype=np.intp)
    place[np.random.default_rng(seed).permutation(n)] = np.arange(n)
    cuts = np.round(np.cumsum(shares)[:-1] * n)
    part_of = np.searchsorted(cuts, place, side="right")
    sizes = np.zeros(len(shares), dtype=np.intp)
    for group in groups:
        part_of[group] = part_of[min(group, key=lambda row: int(place[row]))]
        sizes[part_of[group[0]]] += len(group)
    for empty in np.flatnonzero(sizes == 0):
        donor = int(
            np.argmax([sum(part_of[group[0]] == part for group in groups) for part in range(len(shares))])
        )
        group = next(group for group in groups if part_of[group[0]] == donor)
        part_of[group] = empty
    return part_of


def _fill(groups: list[list[int]], keys: list[str], shares: tuple[float, ...], seed: int) -> IntArray:
    """Largest groups first, then in an order drawn by hashing; each to the part that is least full.

    No part stays empty.
    """
    salt = str(seed).encode()

    def order(group: list[int]) -> tuple[int, bytes]:
        key = min(keys[row] for row in group)
        return -len(group), blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest()

    part_of = np.zeros(len(keys), dtype=np.intp)
    filled = [0] * len(shares)
    for n_left, group in zip(range(len(groups), 0, -1), sorted(groups, key=order), strict=True):
        size = len(group)
        empty = [part for part, count in enumerate(filled) if count == 0]
        choices = empty if n_left <= len(empty) else range(len(shares))
        part = min(choices, key=lambda part: (filled[part] + size) / shares[part])
        filled[part] += size
        part_of[group] = part
    return part_of
