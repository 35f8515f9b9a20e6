"""BM25 with all scores computed beforehand (extra `[retrieval]`): faster, in memory, no word left out."""

from __future__ import annotations

import threading
from typing import Any

from suffice.errors import MissingDependency
from suffice.retrieval.corpus import Corpus
from suffice.retrieval.words import asked, words
from suffice.types import Passage


class Bm25s:
    """The passages of a corpus in a sparse matrix of scores; made again when the corpus has changed.

    References
    ----------
    Lù (2024), BM25S: Orders of magnitude faster lexical search via eager sparse scoring; Lucene's variant,
    k1 = 1.5, b = 0.75, idf ln(1 + (N - n + 0.5) / (n + 0.5)), term frequency f / (f + k1 (1 - b + b L)).
    """

    def __init__(self, corpus: Corpus) -> None:
        """
        Raises
        ------
        MissingDependency
            Without bm25s.
        """
        try:
            import bm25s  # noqa: F401
        except ImportError as error:
            raise MissingDependency("bm25s", "retrieval", "the retriever bm25s") from error
        self.corpus = corpus
        self._lock = threading.Lock()
        self._revision: tuple[int, int] | None = None
        self._numbers: list[int] = []
        self._index: Any = None

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """The k best passages, best first; only those that hold a word of the query."""
        index, numbers = self._built()
        wanted = [word for word in asked(query) if index is not None and word in index.vocab_dict]
        if not wanted or k < 1:
            return []
        rows, scores = index.retrieve([wanted], k=min(k, len(numbers)), show_progress=False, n_threads=0)
        best = zip(rows[0].tolist(), scores[0].tolist(), strict=True)
        return self.corpus.found({numbers[row]: score for row, score in best if score > 0})

    def _built(self) -> tuple[Any, list[int]]:
        with self._lock:
            revision = self.corpus.revision()
            if revision != self._revision:
                import bm25s

                passages = [
                    (number, found) for number, text in self.corpus.passages() if (found := words(text))
                ]
                self._numbers = [number for number, _ in passages]
                self._index = None
                if passages:
                    self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
                    self._index.index([found for _, found in passages], show_progress=False)
                self._revision = revision
            return self._index, self._numbers
