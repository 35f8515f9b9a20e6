"""Nearest passages by an embedder's vectors, kept beside the passages and searched in memory."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError
from suffice.protocols import Embedder
from suffice.retrieval.corpus import Corpus
from suffice.types import Passage

_BATCH = 256


class Vector:
    """Exact search by cosine; passages that have no vector yet get one before the next search."""

    def __init__(self, corpus: Corpus, embedder: Embedder | None, *, rebuild: bool = False) -> None:
        """
        Parameters
        ----------
        rebuild : embed everything again where the vectors are another embedder's

        Raises
        ------
        ArtefactError
            If the vectors are another embedder's: distances between the two mean nothing.
        """
        if embedder is None:
            raise ConfigError("a search by vectors needs an embedder")
        self.corpus, self.embedder = corpus, embedder
        self._lock = threading.Lock()
        self._revision: tuple[int, int] | None = None
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._vectors: NDArray[np.float32] = np.empty((0, embedder.dimensions), np.float32)
        self._claim(rebuild)

    def _claim(self, rebuild: bool = False) -> None:
        """Have the corpus say whose vectors it has."""
        corpus, known = self.corpus, self.corpus.meta("embedder")
        if known == self._name:
            return
        if known is not None and not rebuild:
            raise ArtefactError(
                f"{corpus.path}: its vectors are from the embedder {known}, this is {self._name}: use that, "
                "or embed all passages again with rebuild=True (suffice corpus search --rebuild)"
            )
        with corpus.writing() as connection:
            connection.execute("DELETE FROM vectors")
            corpus.set_meta("embedder", self._name)

    @property
    def _name(self) -> str:
        return f"{self.embedder.name} ({self.embedder.dimensions} dimensions)"

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """The k nearest passages with their cosines, which may be negative; none for an empty query."""
        numbers, vectors = self._read()
        asked = self.embedder.embed([query])[0]
        if not len(numbers) or k < 1 or not asked.any():
            return []
        cosines = vectors @ asked
        k = min(k, len(numbers))
        best = np.argpartition(-cosines, k - 1)[:k]
        best = best[np.lexsort((numbers[best], -cosines[best]))]
        return self.corpus.found({int(numbers[one]): float(cosines[one]) for one in best})

    def _read(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        with self._lock:
            revision = self.corpus.revision()
            if revision != self._revision:
                self._claim()  # another file may stand there by now
                self._embed_missing()
                rows = self.corpus.rows("SELECT passage, vector FROM vectors ORDER BY passage")
                joined = b"".join(row[1] for row in rows)
                if len(joined) != 4 * len(rows) * self.embedder.dimensions:
                    raise ArtefactError(f"{self.corpus.path}: damaged vectors; embed again with rebuild=True")
                self._vectors = np.frombuffer(joined, "<f4").reshape(len(rows), self.embedder.dimensions)
                self._numbers = np.array([row[0] for row in rows], np.int64)
                self._revision = revision
            return self._numbers, self._vectors

    def _embed_missing(self) -> None:
        missing = self.corpus.rows(
            "SELECT number, text FROM passages WHERE number NOT IN (SELECT passage FROM vectors)"
        )
        for at in range(0, len(missing), _BATCH):
            part = missing[at : at + _BATCH]
            made = self.embedder.embed([str(text) for _, text in part]).astype("<f4")
            with self.corpus.writing() as connection:
                # a passage that was removed meanwhile must not come back
                connection.executemany(
                    "INSERT OR REPLACE INTO vectors SELECT number, ? FROM passages WHERE number = ?",
                    [(row.tobytes(), number) for row, (number, _) in zip(made, part, strict=True)],
                )
