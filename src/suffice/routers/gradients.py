"""Conjugate gradients for many symmetric positive systems at once, each a row of its own.

Hestenes and Stiefel (1952), Methods of conjugate gradients for solving linear systems.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


def conjugate_gradients(
    system: Callable[[Rows], Rows],
    right: Rows,
    start: Rows | None = None,
    *,
    tolerance: float,
    max_iterations: int = 200,
) -> Rows:
    """(R, n): x with system(x) = right.

    Parameters
    ----------
    system : applies the matrix of each row to (R, n)
    start : (R, n); None starts from 0
    tolerance : of the length of the residual, relative to that of the right-hand side
    """
    x = np.zeros_like(right) if start is None else start.copy()
    residual = right.copy() if start is None else right - system(x)
    direction = residual.copy()
    size, goal = _squares(residual), tolerance**2 * _squares(right)
    for _ in range(max_iterations):
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


def _squares(rows: Rows) -> Rows:
    return np.asarray(np.einsum("rn,rn->r", rows, rows))


def _ratio(above: Rows, below: Rows) -> Rows:
    """above / below, 0 where a system is solved already."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
