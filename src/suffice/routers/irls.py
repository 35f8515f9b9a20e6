"""Penalised logistic regression on a sparse matrix, many targets at once, by Newton's method.

Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, algorithm 3.1, with a linear
kernel: the dual is solved, since there are fewer queries than n-grams, and each Newton step by
conjugate gradients. Targets may lie anywhere in [0, 1] (the loss is the cross-entropy); rows unknown
for a target are left out of its system by a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from suffice.routers.gradients import conjugate_gradients
from suffice.routers.sparse import Float32, SparseMatrix

_MAX_GRAM: Final = 2048
"""With at most so many rows all inner products are taken once; with more, two sparse products each."""
_MAX_NEWTON: Final = 12
_MAX_CG: Final = 60
_CG_TOLERANCE: Final = 1e-2
_TOLERANCE: Final = 2e-3
"""Of the change of a logit: far below what the noise in quality lets one see."""
_HALVINGS: Final = 4


class LinearKernel:
    """K = X X' + 1: inner products of rows, and an intercept that is penalised like a weight."""

    def __init__(self, matrix: SparseMatrix, gram: Float32 | None = None) -> None:
        """
        Parameters
        ----------
        gram : (n, n), X X'; None takes it where it is small
        """
        self.matrix = matrix
        n, width = matrix.shape
        if gram is None and n <= _MAX_GRAM:
            gram = np.vstack([_gram_rows(matrix, i, min(i + 64, n)) for i in range(0, n, 64)])
        self._gram = gram
        self.width = width

    def select(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> LinearKernel:
        """The kernel between some of the rows."""
        gram = None if self._gram is None else self._gram[np.ix_(rows, rows)]
        return LinearKernel(self.matrix.select(rows), gram)

    def times(self, dual: Float32) -> Float32:
        """K a for each row a of (R, n)."""
        if self._gram is not None:
            product = dual @ self._gram
        else:
            product = self.matrix.times(self.matrix.transposed_times(dual))
        product += dual.sum(axis=1, keepdims=True)
        return product

    def weights(self, dual: Float32) -> Float32:
        """(R, V + 1): w = X' a, the intercept last."""
        return np.hstack((self.matrix.transposed_times(dual), dual.sum(axis=1, keepdims=True)))


def logistic_path(
    kernel: LinearKernel, targets: Float32, mask: Float32, offsets: Float32, penalties: Sequence[float]
) -> Iterator[Float32]:
    """Weights for every penalty, the largest first; each solution starts from the one before.

    Parameters
    ----------
    kernel : of n rows
    targets : (R, n) in [0, 1], 0 where unknown
    mask : (R, n), 1 where known, else 0
    offsets : (R,): logits of which the features explain the rest
    penalties : descending, above 0: half of it times |w|^2 is added to the loss

    Yields
    ------
    (R, V + 1) weights of each penalty, the intercept last
    """
    dual = np.zeros_like(targets)
    for penalty in penalties:
        dual = _newton(kernel, targets, mask, offsets[:, None], np.float32(penalty), dual)
        yield kernel.weights(dual)


def sigmoid(logits: Float32) -> Float32:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), logits.dtype)


def _newton(
    kernel: LinearKernel, y: Float32, mask: Float32, offsets: Float32, penalty: np.float32, dual: Float32
) -> Float32:
    """a with f = offset + K a and penalty a = mask (y - sigmoid(f)), each row a problem of its own."""

    def losses(f: Float32, a: Float32) -> Float32:
        loss = mask * (np.logaddexp(0, f + offsets) - y * (f + offsets)) + 0.5 * penalty * a * f
        return np.asarray(loss.sum(axis=1, dtype=np.float64))

    f = kernel.times(dual)
    loss = losses(f, dual)
    for _ in range(_MAX_NEWTON):
        p = sigmoid(f + offsets)
        root = np.sqrt(mask * p * (1 - p))
        b = root * root * f + mask * (y - p)
        inner = _solve(kernel, root, root * kernel.times(b), penalty)
        step = (b - root * inner) / penalty - dual
        moved = kernel.times(step)
        size = np.ones((len(y), 1), np.float32)
        for _ in range(_HALVINGS):  # the loss is convex: a short enough step lessens it
            new_loss = losses(f + size * moved, dual + size * step)
            is_worse = new_loss > loss + 1e-4 * np.abs(loss)
            if not is_worse.any():
                break
            size[is_worse] *= 0.5
        dual, f = dual + size * step, f + size * moved
        loss = losses(f, dual)
        if float(np.abs(size * moved).max(initial=0)) < _TOLERANCE:
            break
    return dual


def _solve(kernel: LinearKernel, root: Float32, right: Float32, penalty: np.float32) -> Float32:
    """x with (penalty + W^1/2 K W^1/2) x = right."""

    def system(rows: Float32) -> Float32:
        return np.asarray(root * kernel.times(root * rows) + penalty * rows)

    return conjugate_gradients(system, right, tolerance=_CG_TOLERANCE, max_iterations=_MAX_CG)


def _gram_rows(matrix: SparseMatrix, start: int, end: int) -> Float32:
    """(end - start, n): some rows' inner products with all."""
    rows = matrix.rows
    dense = np.zeros((end - start, matrix.shape[1]), np.float32)
    first, last = rows.indptr[start], rows.indptr[end]
    ids = np.repeat(np.arange(end - start), np.diff(rows.indptr[start : end + 1]))
    dense[ids, rows.indices[first:last]] = rows.values[first:last]
    return matrix.times(dense)
