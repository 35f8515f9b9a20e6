"""An embedder that works out every text once, while many routers are trained on the same texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.protocols import Embedder, has_features
from suffice.types import Kind, SparseFeatures

_MAX_TEXTS: Final = 50_000
"""A larger table is embedded anew every time: remembering it would take too much memory."""
_Row = tuple[NDArray[np.int32], NDArray[np.float32]]


class Remembered:
    """Wraps an embedder and is one; vectors and features are the same.

    One per process. Unlike `CachedEmbedder` it remembers features too, and can be told to work anew,
    so that the time of a decision is measured with the embedding in it.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._rows: dict[tuple[Kind, str], _Row] = {}
        self._widths: dict[Kind, int] = {}
        self._is_paused = False

    @property
    def name(self) -> str:
        return self.embedder.name

    @property
    def dimensions(self) -> int:
        return self.embedder.dimensions

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, nothing is remembered."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the wrapped embedder."""
        if self._is_paused or not texts:
            return self.embedder.embed(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if len(self._vectors) + len(missing) > _MAX_TEXTS:
            return self.embedder.embed(texts)
        if missing:
            self._vectors.update(zip(missing, self.embedder.embed(missing).copy(), strict=True))
        return np.array([self._vectors[text] for text in texts], np.float32)

    def __getattr__(self, name: str) -> Any:
        """`features`, where the wrapped embedder has them."""
        if name == "features" and has_features(self.embedder):
            return self._features
        raise AttributeError(name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Remembered:
        """Itself: copies of a router share what is remembered."""
        return self

    def _features(self, texts: Sequence[str], kind: Kind = "words") -> SparseFeatures:
        assert has_features(self.embedder)
        missing = [text for text in dict.fromkeys(texts) if (kind, text) not in self._rows]
        if self._is_paused or not texts or len(self._rows) + len(missing) > _MAX_TEXTS:
            return self.embedder.features(texts, kind)
        if missing:
            found = self.embedder.features(missing, kind)
            self._widths[kind] = found.n_columns
            bounds = zip(found.indptr[:-1], found.indptr[1:], strict=True)
            for text, (start, end) in zip(missing, bounds, strict=True):
                self._rows[kind, text] = found.indices[start:end].copy(), found.values[start:end].copy()
        rows = [self._rows[kind, text] for text in texts]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row[0]) for row in rows], out=indptr[1:])
        return SparseFeatures(
            indptr=indptr,
            indices=np.concatenate([row[0] for row in rows]),
            values=np.concatenate([row[1] for row in rows]),
            n_columns=self._widths[kind],
        )
