"""What embedders share: sparse rows, and the promise of having them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeGuard

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.protocols import Embedder

Kind = Literal["words", "characters", "both"]


class SparseFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """n rows over a fixed number of columns, most of them 0 (compressed sparse rows)."""

    indptr: NDArray[np.int64]
    """(n + 1,): row i holds entries indptr[i] to indptr[i + 1]."""
    indices: NDArray[np.int32]
    """(n_entries,): columns, ascending within a row, each at most once."""
    values: NDArray[np.float32]
    """(n_entries,): rows of length 1; an empty row stands for an empty text."""
    n_columns: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def row_ids(self) -> NDArray[np.int64]:
        """(n_entries,): the row of every entry."""
        return np.repeat(np.arange(self.n_rows), np.diff(self.indptr))


class FeatureEmbedder(Embedder, Protocol):
    """An embedder that also has sparse features, which linear routers and LSA learn from."""

    def features(self, texts: Sequence[str], kind: Kind = "words") -> SparseFeatures: ...


def has_features(embedder: Embedder) -> TypeGuard[FeatureEmbedder]:
    """Whether it, or the embedder that it wraps, has sparse features."""
    return callable(getattr(embedder, "features", None))
