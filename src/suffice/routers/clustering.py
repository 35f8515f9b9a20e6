"""k-means on unit rows: seeds by k-means++, then Lloyd's steps, both over all rows at once.

Lloyd (1982), Least squares quantization in PCM; Arthur and Vassilvitskii (2007), k-means++: The
Advantages of Careful Seeding.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import FloatArray

_MAX_STEPS: Final = 30
_MAX_ROWS: Final = 20_000
"""Centres are learnt from at most so many rows: more move them little."""


def kmeans(
    vectors: NDArray[np.float32], draws: NDArray[np.uint64], n_clusters: int, *, seed: int = 0
) -> NDArray[np.float32]:
    """Centres (at most n_clusters, d).

    Fewer where there are fewer distinct rows.

    Parameters
    ----------
    vectors : shape (n, d)
    draws : shape (n,): random numbers that belong to the rows' texts; they order the rows, so that the
        order in which rows are given does not matter
    """
    rows = vectors[np.argsort(draws, kind="stable")[:_MAX_ROWS]]
    centres = _seeds(rows, n_clusters, np.random.default_rng(seed))
    labels = np.full(len(rows), -1)
    for _ in range(_MAX_STEPS):
        found = squared_distances(rows, centres).argmin(axis=1)
        if (found == labels).all():
            break
        labels = found
        sums, counts = cluster_sums(rows, labels, len(centres))
        filled = counts > 0
        centres[filled] = sums[filled] / counts[filled, None]
    return centres


def _seeds(rows: NDArray[np.float32], n_clusters: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rows far apart: each next one is drawn in proportion to its squared distance from those before."""
    chosen = [int(rng.integers(len(rows)))]
    nearest = squared_distances(rows, rows[chosen])[:, 0]
    while len(chosen) < n_clusters:
        mass = np.cumsum(nearest, dtype=np.float64)
        if mass[-1] <= 1e-6:
            break
        chosen.append(int(np.searchsorted(mass, rng.random() * mass[-1], side="right")))
        np.minimum(nearest, squared_distances(rows, rows[chosen[-1:]])[:, 0], out=nearest)
    return np.asarray(rows[chosen])


def squared_distances(rows: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, k): squared Euclidean distances, from 0."""
    lengths = np.einsum("nd,nd->n", rows, rows)[:, None] + np.einsum("kd,kd->k", centres, centres)
    return np.asarray(np.maximum(lengths - 2 * (rows @ centres.T), 0), np.float32)


def soft_weights(
    vectors: NDArray[np.float32], centres: NDArray[np.float32], *, nearest: int, beta: float
) -> FloatArray:
    """(n, k): softmax(-beta distance) over the nearest centres, 0 elsewhere."""
    distances = np.sqrt(squared_distances(vectors, centres)).astype(np.float64)
    weights = np.exp(-beta * (distances - distances.min(axis=1, keepdims=True)))
    if nearest < len(centres):
        last = np.partition(distances, nearest - 1, axis=1)[:, nearest - 1 : nearest]
        weights[distances > last] = 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def cluster_sums(
    values: NDArray[Any], labels: NDArray[np.intp], n_clusters: int
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """(k, d) sums of the rows of every cluster, and (k,) how many there are."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=n_clusters)
    sums = np.zeros((n_clusters, values.shape[1]), values.dtype)
    filled = counts > 0
    starts = (np.cumsum(counts) - counts)[filled]
    if len(starts):
        sums[filled] = np.add.reduceat(values[order], starts, axis=0)
    return sums, counts
