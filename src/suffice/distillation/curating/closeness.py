"""Near in meaning: cosines of embeddings, exactly, a block at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suffice.distillation.curating.groups import Groups
from suffice.types import IntArray

_BLOCK = 512
_MOST = 200
"""Others that a row is joined with directly; the rest come through them."""

Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; a zero row stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


class Pairs(NamedTuple):
    """Rows that are close."""

    rows: IntArray
    others: IntArray
    """Each smaller than its row."""
    cosine: Vectors

    def subset(self, rows: IntArray, n: int) -> Pairs:
        """Those among some of n rows, renumbered; `rows` ascend."""
        number = np.full(n, -1, np.intp)
        number[rows] = np.arange(len(rows))
        kept = (number[self.rows] >= 0) & (number[self.others] >= 0)
        return Pairs(number[self.rows[kept]], number[self.others[kept]], self.cosine[kept])


def close_pairs(vectors: Vectors, threshold: float) -> Pairs:
    """Pairs with a cosine of at least `threshold`; of a row with very many, the first few.

    Parameters
    ----------
    vectors : shape (n, d), rows of length 1 (or 0, which are near nothing)
    """
    found = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        cosine = block @ vectors[: start + len(block)].T
        rows, others = np.nonzero(cosine >= threshold)
        kept = (others < rows + start) & (np.arange(len(rows)) - np.searchsorted(rows, rows) < _MOST)
        rows, others = rows[kept], others[kept]
        found.append(Pairs(rows + start, others, cosine[rows, others]))
    if not found:
        return Pairs(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def join_close(
    pairs: Pairs, groups: Groups, threshold: float, within: Sequence[Hashable] | None = None
) -> None:
    """Join rows whose cosine is at least `threshold`.

    Parameters
    ----------
    within : shape (n,): only rows with the same value are joined
    """
    kept = pairs.cosine >= threshold
    for row, other in zip(pairs.rows[kept].tolist(), pairs.others[kept].tolist(), strict=True):
        if within is None or within[row] == within[other]:
            groups.join(row, other)


def close_matches(vectors: Vectors, among: Vectors, threshold: float) -> IntArray:
    """(n,): the closest of `among` where its cosine is at least `threshold`; -1: none."""
    found = np.full(len(vectors), -1, np.intp)
    if not len(among):
        return found
    for start in range(0, len(vectors), _BLOCK):
        cosine = vectors[start : start + _BLOCK] @ among.T
        best = cosine.argmax(axis=1)
        is_close = np.take_along_axis(cosine, best[:, None], axis=1)[:, 0] >= threshold
        found[start : start + _BLOCK] = np.where(is_close, best, -1)
    return found
