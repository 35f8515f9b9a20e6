"""Near in meaning: cosines of embeddings, exactly, a block at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from suffice.distillation.curating.groups import Groups
from suffice.types import IntArray

_BLOCK = 2_048
_MOST = 8
"""Others that a row is joined with directly; the rest come through them."""

Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; a zero row stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def join_close(
    vectors: Vectors, groups: Groups, threshold: float, within: Sequence[Hashable] | None = None
) -> None:
    """Join rows whose cosine is at least `threshold`.

    Parameters
    ----------
    vectors : shape (n, d), rows of length 1 (or 0, which are near nothing)
    within : shape (n,): only rows with the same value are joined
    """
    codes = _codes(within, len(vectors))
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        cosine = block @ vectors[: start + len(block)].T
        rows, others = np.nonzero(cosine >= threshold)
        same = codes[rows + start] == codes[others]
        rows, others = rows[same], others[same]
        for row, other in _first(rows + start, others):
            if other < row:
                groups.join(row, other)


def _codes(values: Sequence[Hashable] | None, n: int) -> IntArray:
    if values is None:
        return np.zeros(n, np.intp)
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.intp)


def _first(rows: IntArray, others: IntArray) -> list[tuple[int, int]]:
    """At most a few pairs of each row; `rows` ascend."""
    if not len(rows):
        return []
    starts = np.searchsorted(rows, rows, side="left")
    kept = np.arange(len(rows)) - starts < _MOST
    return list(zip(rows[kept].tolist(), others[kept].tolist(), strict=True))


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
