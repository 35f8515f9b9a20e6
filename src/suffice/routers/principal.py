"""Fewer dimensions for very many wide vectors: the principal directions keep cosines best.

Eckart and Young (1936), The approximation of one matrix by another of lower rank; no centring, since it is
inner products that are to be kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def principal_directions(vectors: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """(d, n): the directions in which unit rows (N, d) are largest, n at most d."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)  # ascending
    largest = directions[:, ::-1][:, :n]
    signs = np.sign(largest[np.abs(largest).argmax(axis=0), np.arange(largest.shape[1])])
    return np.ascontiguousarray(largest * signs, np.float32)


def reduced(vectors: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, n): rows along these directions, again of length 1, or 0 where nothing lies along them."""
    rows = vectors @ directions
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    lengths[lengths == 0] = 1
    return np.asarray(rows / lengths[:, None], np.float32)
