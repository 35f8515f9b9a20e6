"""Latent semantic analysis: term weights, then the directions in which the training texts vary most.

Deerwester et al. (1990), Indexing by Latent Semantic Analysis; the truncated singular value
decomposition by Halko, Martinsson and Tropp (2011), Finding structure with randomness, algorithm 4.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.protocols import FeatureEmbedder
from suffice.routers.artefact import Arrays
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import Familiarity
from suffice.routers.sparse import SparseMatrix
from suffice.routers.tfidf import Vocabulary
from suffice.types import SparseFeatures

_OVERSAMPLING: Final = 10
_N_POWER_ITERATIONS: Final = 3
_MAX_TEXTS: Final = 50_000
_BLOCK: Final = 4096
"""Texts whose features are in memory at once."""
_MAX_COLUMNS: Final = 1 << 15
"""Bounds what a fitted projection takes in memory: 8 MB for 64 dimensions."""


class Lsa:
    """Sparse rows to dense unit rows."""

    def __init__(
        self, columns: NDArray[np.int32], components: NDArray[np.float32], familiarity: Familiarity
    ) -> None:
        """
        Parameters
        ----------
        columns : (V,), ascending: columns of the embedder's features
        components : (V, d): what one unit of a column adds, its term weight included
        familiarity : of the texts that it was learnt from
        """
        self.columns, self.familiarity = columns, familiarity
        self._components = np.vstack((components, np.zeros_like(components, shape=components.shape[1])))
        self._places = familiarity.vocabulary.places

    @property
    def components(self) -> NDArray[np.float32]:
        return self._components[:-1]  # the last is what a column adds that is not known: nothing

    @classmethod
    def learn(cls, rows: SparseFeatures, *, dimensions: int, seed: int) -> Lsa:
        """From the training texts' features.

        With fewer texts or columns than `dimensions` the last dimensions are 0.
        """
        vocabulary = Vocabulary.learn(rows, min_rows=2, n_columns=_MAX_COLUMNS)
        matrix = SparseMatrix(vocabulary.weigh(rows))
        directions = _right_singular_vectors(matrix, dimensions, seed)
        components = np.zeros((len(vocabulary.columns), dimensions), np.float32)
        components[:, : len(directions)] = directions.T * vocabulary.idf[:, None]
        return cls(vocabulary.columns, components, Familiarity.learn(vocabulary, rows))

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays for a router's artefact."""
        return {
            "lsa_columns": self.columns,
            "lsa_components": self.components,
            "lsa_idf": self.familiarity.vocabulary.idf,
            "familiarity": self.familiarity.state(),
        }

    @classmethod
    def restore(cls, arrays: Arrays, width: int | None = None) -> Self:
        """The reverse of `state`, for so many dimensions or any.

        Raises
        ------
        ArtefactError
            If the arrays are not as `state` writes them.
        """
        columns = arrays.take("lsa_columns", "i", (None,))
        components = arrays.take("lsa_components", "f", (len(columns), width))
        idf = np.zeros(len(columns), np.float32)  # of an artefact older than familiarity
        if arrays.has("familiarity"):
            idf = arrays.take("lsa_idf", "f", columns.shape)
        return cls(columns, components, Familiarity.restore(arrays, Vocabulary(columns, idf)))

    @classmethod
    def of_texts(
        cls, texts: Sequence[str], embedder: FeatureEmbedder, *, dimensions: int, seed: int
    ) -> tuple[Lsa, NDArray[np.float32]]:
        """Learnt from the texts, or from 50,000 of very many, and all their vectors (n, d).

        What a text adds to the directions falls with their number, while memory and time grow with it.
        """
        learnt_from = texts
        if len(texts) > _MAX_TEXTS:
            chosen = np.argsort(text_draws(texts, seed), kind="stable")[:_MAX_TEXTS]
            learnt_from = [texts[i] for i in chosen.tolist()]
        rows = embedder.features(learnt_from)
        lsa = cls.learn(rows, dimensions=dimensions, seed=seed)
        if learnt_from is texts:
            return lsa, lsa.project(rows)
        del rows
        vectors = np.empty((len(texts), dimensions), np.float32)
        for start in range(0, len(texts), _BLOCK):
            vectors[start : start + _BLOCK] = lsa.project(embedder.features(texts[start : start + _BLOCK]))
        return lsa, vectors

    def project(self, rows: SparseFeatures) -> NDArray[np.float32]:
        """(n, d): unit rows; zero where no known column occurs."""
        places = self._places.of(rows.indices)
        if rows.n_rows == 1:  # a decision
            return self._unit(rows.values, places)[None]
        out = np.zeros((rows.n_rows, self._components.shape[1]), np.float32)
        starts = rows.indptr.tolist()
        for row, start, end in zip(out, starts[:-1], starts[1:], strict=True):
            row[:] = self._unit(rows.values[start:end], places[start:end])
        return out

    def _unit(self, values: NDArray[np.float32], places: NDArray[np.int32]) -> NDArray[np.float32]:
        """(d,): of length 1, or zero."""
        total = values @ self._components.take(places, axis=0)  # take is twice as fast as indexing
        total *= 1 / (math.sqrt(total.dot(total)) or 1)
        return np.asarray(total)


def _right_singular_vectors(matrix: SparseMatrix, n: int, seed: int) -> NDArray[np.float32]:
    """(at most n, V): orthonormal, largest singular value first."""
    width = min(n + _OVERSAMPLING, *matrix.shape)
    if width == 0:
        return np.empty((0, matrix.shape[1]), np.float32)
    start = np.random.default_rng(seed).standard_normal((width, matrix.shape[1]), np.float32)
    basis = _orthonormal(matrix.times(start))
    for _ in range(_N_POWER_ITERATIONS):
        basis = _orthonormal(matrix.times(_orthonormal(matrix.transposed_times(basis))))
    small = matrix.transposed_times(basis)  # (width, V): basis' X
    _, sizes, directions = np.linalg.svd(small, full_matrices=False)
    is_real = sizes > 1e-5 * max(float(sizes[0]), 1e-12)
    directions = directions[is_real][:n]
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    return np.asarray(directions * signs[:, None], np.float32)


def _orthonormal(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.linalg.qr(rows.T)[0].T)
