"""Remembers the vectors of the texts seen last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import Embedder


class CachedEmbedder:
    """Wraps an embedder and is one: the least recently used texts are forgotten first.

    Safe to use from several threads; texts that are missing in one call are embedded together,
    outside the lock. A failure is not remembered.
    """

    def __init__(self, embedder: Embedder, *, n_texts: int = 4096) -> None:
        if n_texts < 1:
            raise ConfigError(f"n_texts is {n_texts}; at least 1 is needed: leave the cache out to have none")
        self.embedder = embedder
        self.n_texts = n_texts
        self._rows: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The wrapped embedder's: the vectors are the same."""
        return self.embedder.name

    @property
    def dimensions(self) -> int:
        return self.embedder.dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the wrapped embedder; each distinct text is embedded at most once per call."""
        found = self._known(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            vectors = self.embedder.embed(missing)
            found.update(zip(missing, vectors, strict=True))
            self._remember(missing, vectors)
        out = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            out[row] = found[text]
        return out

    def _known(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        found = {}
        with self._lock:
            for text in texts:
                if text in self._rows:
                    self._rows.move_to_end(text)
                    found[text] = self._rows[text]
        return found

    def _remember(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        with self._lock:
            for text, vector in zip(texts[-self.n_texts :], vectors[-self.n_texts :], strict=True):
                self._rows[text] = vector.copy()  # a view would keep the whole batch alive
                self._rows.move_to_end(text)
            while len(self._rows) > self.n_texts:
                self._rows.popitem(last=False)

    def __getattr__(self, name: str) -> Any:
        """`features`, where the wrapped embedder has them: they are not cached."""
        if name == "features":
            return getattr(self.embedder, name)
        raise AttributeError(name)
