"""Ridge regression on a sparse matrix by conjugate gradients, many targets at once.

Hestenes and Stiefel (1952). The dual is solved, (X X' + penalty) a = y with w = X' a, since there
are fewer queries than n-grams; rows unknown for a target are left out of its system by a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.routers.sparse import Float32, SparseMatrix

_TOLERANCE: Final = 3e-3
"""Of the residual, relative to the target: far below what the noise in quality lets one see."""
_MAX_ITERATIONS: Final = 200


def ridge_path(
    matrix: SparseMatrix, targets: Float32, mask: Float32, penalties: Sequence[float] | Float32
) -> Iterator[Float32]:
    """Weights for every penalty, the largest first; each solution starts from the one before.

    Parameters
    ----------
    matrix : (n, V)
    targets : (R, n), 0 where unknown
    mask : (R, n), 1 where known, else 0
    penalties : descending, above 0

    Yields
    ------
    (R, V) weights of each penalty
    """
    dual = np.zeros_like(targets)
    for penalty in penalties:
        dual = _solve(matrix, targets, mask, np.full((len(targets), 1), penalty, np.float32), dual)
        yield matrix.transposed_times(dual)


def ridge(matrix: SparseMatrix, targets: Float32, mask: Float32, penalties: NDArray[np.float32]) -> Float32:
    """(R, V) weights, one penalty for each target."""
    dual = _solve(matrix, targets, mask, penalties[:, None], np.zeros_like(targets))
    return matrix.transposed_times(dual)


def _solve(
    matrix: SparseMatrix, targets: Float32, mask: Float32, penalty: Float32, start: Float32
) -> Float32:
    """Conjugate gradients, each row a system of its own, from `start`."""

    def system(vectors: Float32) -> Float32:
        return matrix.times(matrix.transposed_times(vectors)) * mask + penalty * vectors

    x = start.copy()
    residual = targets - system(x)
    direction = residual.copy()
    size = _squares(residual)
    goal = _TOLERANCE**2 * _squares(targets)
    for _ in range(_MAX_ITERATIONS):
        if (size <= goal).all():
            break
        applied = system(direction)
        step = _ratio(size, (direction * applied).sum(axis=1))
        x += step[:, None] * direction
        residual -= step[:, None] * applied
        new_size = _squares(residual)
        direction = residual + _ratio(new_size, size)[:, None] * direction
        size = new_size
    return x


def _squares(rows: Float32) -> Float32:
    return np.asarray(np.einsum("rn,rn->r", rows, rows), np.float32)


def _ratio(above: Float32, below: Float32) -> Float32:
    """above / below, 0 where a system is solved already."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
