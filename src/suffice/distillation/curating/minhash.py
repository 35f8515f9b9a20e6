"""Near-duplicates: candidates by MinHash bands, each checked by its exact similarity.

References
----------
Broder (1997), On the resemblance and containment of documents; banding as in Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4. Every candidate is verified, so that what is found is near; what is
missed is the chance of no shared band: 0.0002 at similarity 0.8, 0.012 at 0.7, 0.11 at 0.6.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import numpy as np

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


def join_near(
    texts: Sequence[str], groups: Groups, threshold: float, within: Sequence[Hashable] | None = None
) -> None:
    """Join rows whose texts have a Jaccard similarity of at least `threshold`, over 8-byte n-grams.

    Parameters
    ----------
    within : shape (n,): only rows with the same value are joined
    """
    shingles = _Shingles(texts)
    buckets: dict[Hashable, list[int]] = {}
    for row, keys in enumerate(_band_keys(texts)):
        for key in keys:
            others = buckets.setdefault(key if within is None else (key, within[row]), [])
            mine = groups.root(row)
            for other in others:
                if groups.root(other) != mine and shingles.similarity(row, other) >= threshold:
                    groups.join(row, other)
                    mine = groups.root(row)
            if len(others) < _MOST_IN_BUCKET:
                others.append(row)


def near_matches(texts: Sequence[str], among: Sequence[str], threshold: float) -> IntArray:
    """(n,): for each text one of `among` that is near it; -1: none."""
    both = [*among, *texts]
    shingles, n = _Shingles(both), len(among)
    buckets: dict[tuple[int, int], list[int]] = {}
    found = np.full(len(texts), -1, np.intp)
    for row, keys in enumerate(_band_keys(both)):
        for key in keys:
            if row < n:
                others = buckets.setdefault(key, [])
                if len(others) < _MOST_IN_BUCKET:
                    others.append(row)
            elif found[row - n] < 0:
                near = (one for one in buckets.get(key, ()) if shingles.similarity(row, one) >= threshold)
                found[row - n] = next(near, -1)
    return found


def jaccard(left: str, right: str) -> float:
    """Shared over all 8-byte n-grams.

    Examples
    --------
    >>> jaccard("a longer text", "a longer text"), jaccard("one thing more", "quite another")
    (1.0, 0.0)
    """
    return _Shingles([left, right]).similarity(0, 1)


class _Shingles:
    """Sets of n-grams, made when they are first compared."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._sets: dict[int, frozenset[bytes]] = {}

    def similarity(self, one: int, other: int) -> float:
        left, right = self._of(one), self._of(other)
        shared = len(left & right)
        return shared / (len(left) + len(right) - shared)

    def _of(self, row: int) -> frozenset[bytes]:
        found = self._sets.get(row)
        if found is None:
            data = self._texts[row].encode("utf-8", "surrogatepass").ljust(N_BYTES, b"\0")
            found = frozenset(data[at : at + N_BYTES] for at in range(len(data) - N_BYTES + 1))
            self._sets[row] = found
        return found


def _band_keys(texts: Sequence[str]) -> Iterator[list[tuple[int, int]]]:
    """Of each text: (band, digest of its hashes)."""
    if not texts:
        return
    hashed = signatures(texts, _N_BANDS * _N_ROWS).reshape(len(texts), _N_BANDS, _N_ROWS)
    mixed = (hashed ^ (hashed >> np.uint64(31))) * _FACTORS
    digests = np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)), axis=2)
    for row in digests.tolist():
        yield list(enumerate(row))
