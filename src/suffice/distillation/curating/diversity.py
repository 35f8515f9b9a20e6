"""Which rows to train on when not all can be: far from each other, or some of every cluster.

References
----------
Gonzalez (1985), Clustering to minimize the maximum intercluster distance: greedy k-center is within twice
the best radius; Sener & Savarese (2018), Active Learning for Convolutional Neural Networks: A Core-Set
Approach.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Literal

import numpy as np

from suffice.distillation.curating.closeness import Vectors
from suffice.types import IntArray

Way = Literal["k_center", "clusters", "random"]
_FRONT: Final = 512
_CHUNK: Final = 8_192
_ROUNDS: Final = 8


def choose(
    vectors: Vectors, labels: Sequence[Hashable], n: int, way: Way, *, balance: bool = False, seed: int = 0
) -> IntArray:
    """Ascending rows, `n` of them (all, where there are not more).

    Parameters
    ----------
    vectors : shape (n_rows, d)
    labels : shape (n_rows,)
        Every label gets its share of n: as it is, or with `balance` as even as there are rows.
    way : within a label
    """
    if n >= len(vectors):
        return np.arange(len(vectors), dtype=np.intp)
    names = sorted(set(labels), key=str)
    of = {name: np.array([row for row, one in enumerate(labels) if one == name], np.intp) for name in names}
    quotas = _quotas([len(of[name]) for name in names], n, balance)
    rng = np.random.default_rng(seed)
    found = []
    for name, quota in zip(names, quotas, strict=True):
        rows = of[name]
        if way == "random":
            inside = rng.permutation(len(rows))[:quota]
        elif way == "clusters":
            inside = by_clusters(vectors[rows], quota)
        else:
            inside = k_center(vectors[rows], quota)
        found.append(rows[inside])
    return np.sort(np.concatenate(found))


def _quotas(sizes: Sequence[int], n: int, balance: bool) -> list[int]:
    """Of n, for each label: in proportion, or even until a label has no more rows."""
    quotas = [0] * len(sizes)
    if not balance:
        exact = [n * size / sum(sizes) for size in sizes]
        quotas = [int(one) for one in exact]
        rest = sorted(range(len(sizes)), key=lambda at: quotas[at] - exact[at])
        for at in rest[: n - sum(quotas)]:
            quotas[at] += 1
        return quotas
    order = sorted(range(len(sizes)), key=lambda at: sizes[at])
    for done, at in enumerate(order):
        quotas[at] = min(sizes[at], (n - sum(quotas)) // (len(order) - done))
    for at in order[::-1]:  # what division left over
        quotas[at] += min(sizes[at] - quotas[at], n - sum(quotas))
    return quotas


def k_center(vectors: Vectors, n: int) -> IntArray:
    """The order in which greedy k-center takes rows, starting next to the middle; shape (n,).

    Exact, and mostly matrix products: distances only fall, so as long as the farthest of the 512 farthest
    rows is farther than any other row was, it is the farthest of all, and only distances among those 512 are
    needed.
    """
    n = min(n, len(vectors))
    if n == 0:
        return np.empty(0, np.intp)
    squares = np.einsum("nd,nd->n", vectors, vectors)
    middle = int(_distances(vectors, squares, vectors.mean(axis=0, keepdims=True))[:, 0].argmin())
    chosen = [middle]
    gap = _distances(vectors, squares, vectors[[middle]])[:, 0]
    while len(chosen) < n:
        width = min(_FRONT, len(vectors))
        front = np.argpartition(gap, len(gap) - width)[len(gap) - width :]
        bound = np.delete(gap, front).max(initial=-1.0)
        front.sort()  # ties go to the first row
        inner, mine = _distances(vectors[front], squares[front], vectors[front]), gap[front]
        new: list[int] = []
        while len(chosen) + len(new) < n:
            place = int(mine.argmax())
            if new and mine[place] < bound:
                break
            new.append(int(front[place]))
            mine = np.minimum(mine, inner[:, place])
            mine[place] = -1.0
        gap = np.minimum(gap, _nearest(vectors, squares, vectors[new]))
        gap[new] = -1.0
        chosen += new
    return np.array(chosen, np.intp)


def radius(vectors: Vectors, chosen: IntArray) -> float:
    """The largest distance of any row to the nearest chosen one."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    return float(np.sqrt(max(0.0, _nearest(vectors, squares, vectors[chosen]).max())))


def by_clusters(vectors: Vectors, n: int) -> IntArray:
    """Rows in turn from each of n / 4 clusters, nearest the centre first.

    Clusters are those of k-means from k-center seeds.
    """
    n = min(n, len(vectors))
    if n == 0:
        return np.empty(0, np.intp)
    centres = vectors[k_center(vectors, max(1, n // 4))]
    squares = np.einsum("nd,nd->n", vectors, vectors)
    for _ in range(_ROUNDS):
        of = _distances(vectors, squares, centres).argmin(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, of, vectors)
        sizes = np.bincount(of, minlength=len(centres))[:, None]
        centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres).astype(np.float32)
    gaps = _distances(vectors, squares, centres)
    of = gaps.argmin(axis=1)
    order = np.lexsort((gaps[np.arange(len(of)), of], of))
    first = np.searchsorted(of[order], np.arange(len(centres)))
    turn = np.arange(len(order)) - first[of[order]]
    return np.asarray(order[np.lexsort((of[order], turn))][:n], np.intp)


def _distances(vectors: Vectors, squares: Vectors, to: Vectors) -> Vectors:
    """(n, m): squared."""
    found = squares[:, None] + np.einsum("md,md->m", to, to)[None] - 2 * (vectors @ to.T)
    return np.asarray(np.maximum(found, 0), np.float32)


def _nearest(vectors: Vectors, squares: Vectors, to: Vectors) -> Vectors:
    """(n,): squared distance to the nearest of `to`."""
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _distances(vectors[part], squares[part], to).min(axis=1)
    return found
