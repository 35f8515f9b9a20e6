"""Near-duplicates: candidates by MinHash bands, each checked by its exact similarity.

References
----------
Broder (1997), On the resemblance and containment of documents; banding as in Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4. Every candidate is verified, so that what is found is near; what is
missed is the chance of no shared band: 0.0002 at similarity 0.8, 0.012 at 0.7, 0.11 at 0.6.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.distillation.curating.groups import Groups
from suffice.outcomes.signatures import N_BYTES, signatures
from suffice.types import IntArray

_N_BANDS: Final = 16
_N_ROWS: Final = 4
_MOST_IN_BUCKET: Final = 12
"""Others of one band that a text is compared with."""
_FACTORS: Final = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64
)


class Sketches:
    """Texts, made ready to be compared: hashed once, whoever compares them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._rows = np.arange(len(texts), dtype=np.intp)
        self._sets: dict[int, frozenset[bytes]] = {}
        self._keys = [list(enumerate(row)) for row in _digests(texts).tolist()]

    def subset(self, rows: Sequence[int] | IntArray) -> Sketches:
        """Those of some rows."""
        found = copy(self)
        found._rows = self._rows[np.array(rows, np.intp)]
        return found

    def __len__(self) -> int:
        return len(self._rows)

    def keys(self, row: int) -> list[tuple[int, int]]:
        """(band, digest of its hashes): texts that share one may be near."""
        return self._keys[self._rows[row]]

    def similarity(self, row: int, other: int, among: Sketches | None = None) -> float:
        """Jaccard's, with a row of these or of others."""
        left, right = self._set(row), (among or self)._set(other)
        shared = len(left & right)
        return shared / (len(left) + len(right) - shared)

    def _set(self, row: int) -> frozenset[bytes]:
        number = int(self._rows[row])
        found = self._sets.get(number)
        if found is None:
            data = self._texts[number].encode("utf-8", "surrogatepass").ljust(N_BYTES, b"\0")
            found = frozenset(data[at : at + N_BYTES] for at in range(len(data) - N_BYTES + 1))
            self._sets[number] = found
        return found


def join_near(
    sketches: Sketches, groups: Groups, threshold: float, within: Sequence[Hashable] | None = None
) -> None:
    """Join rows whose texts have a Jaccard similarity of at least `threshold`, over 8-byte n-grams.

    Parameters
    ----------
    within : shape (n,): only rows with the same value are joined
    """
    buckets: dict[Hashable, list[int]] = {}
    for row in range(len(sketches)):
        for key in sketches.keys(row):
            others = buckets.setdefault(key if within is None else (key, within[row]), [])
            mine = groups.root(row)
            for other in others:
                if groups.root(other) != mine and sketches.similarity(row, other) >= threshold:
                    groups.join(row, other)
                    mine = groups.root(row)
            if len(others) < _MOST_IN_BUCKET:
                others.append(row)


def near_matches(sketches: Sketches, among: Sketches, threshold: float) -> IntArray:
    """(n,): for each text one of `among` that is near it; -1: none."""
    buckets: dict[tuple[int, int], list[int]] = {}
    for row in range(len(among)):
        for key in among.keys(row):
            others = buckets.setdefault(key, [])
            if len(others) < _MOST_IN_BUCKET:
                others.append(row)
    found = np.full(len(sketches), -1, np.intp)
    for row in range(len(sketches)):
        candidates = dict.fromkeys(one for key in sketches.keys(row) for one in buckets.get(key, ()))
        near = (one for one in candidates if sketches.similarity(row, one, among) >= threshold)
        found[row] = next(near, -1)
    return found


def jaccard(left: str, right: str) -> float:
    """Shared over all 8-byte n-grams.

    Examples
    --------
    >>> jaccard("a longer text", "a longer text"), jaccard("one thing more", "quite another")
    (1.0, 0.0)
    """
    return Sketches([left, right]).similarity(0, 1)


def _digests(texts: Sequence[str]) -> NDArray[np.uint64]:
    """(n, bands)"""
    if not texts:
        return np.empty((0, _N_BANDS), np.uint64)
    hashed = signatures(texts, _N_BANDS * _N_ROWS).reshape(len(texts), _N_BANDS, _N_ROWS)
    mixed = (hashed ^ (hashed >> np.uint64(31))) * _FACTORS
    return np.asarray(np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)), axis=2), np.uint64)
