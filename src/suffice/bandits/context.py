"""Vectors of queries as contexts: short, of bounded length, with a constant."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError
from suffice.types import FloatArray


class Projection(NamedTuple):
    """x -> (x - center) @ axes, of mean length 1 on the vectors it was fitted to, and a 1 behind it."""

    center: NDArray[np.float32]
    axes: NDArray[np.float32]
    """(D, d - 1)."""

    @classmethod
    def fit(cls, vectors: FloatArray, d: int = 33) -> Self:
        """Principal axes of (n, D) vectors; d counts the constant, and is at most n and D + 1.

        Raises
        ------
        DataError
            If there are fewer than two vectors.
        """
        rows = np.asarray(vectors, np.float64)
        if len(rows) < 2:
            raise DataError(f"{len(rows)} vectors; a projection needs at least two")
        center = rows.mean(axis=0)
        _, _, axes = np.linalg.svd(rows - center, full_matrices=False)
        return cls.along(rows, axes[: min(d - 1, len(axes))].T)

    @classmethod
    def along(cls, vectors: FloatArray, axes: FloatArray) -> Self:
        """On given axes (D, d - 1), centred and scaled by (n, D) vectors."""
        center = vectors.mean(axis=0)
        length = np.linalg.norm((vectors - center) @ axes, axis=1).mean()
        return cls(center.astype(np.float32), (axes / max(length, 1e-9)).astype(np.float32))

    @property
    def d(self) -> int:
        """Length of a context."""
        return int(self.axes.shape[1]) + 1

    def __call__(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """(n, d) of (n, D), or (d,) of (D,)."""
        rows = np.asarray(vectors, np.float32)
        short = (rows - self.center) @ self.axes
        return np.concatenate([short, np.ones((*short.shape[:-1], 1), np.float32)], axis=-1)
