"""BM25 by SQLite's FTS5: the default, with nothing to install and nothing to build."""

from __future__ import annotations

from suffice.errors import ConfigError
from suffice.retrieval.corpus import Corpus
from suffice.retrieval.words import asked
from suffice.types import Passage

_MOST_WORDS = 64


class Fts5:
    """Okapi BM25 over the corpus as it stands at the moment.

    FTS5 scores every passage that holds any word of the query, so a word that stands in a tenth of the
    corpus costs more than all the others and says least. Rare words therefore come first, and common ones
    are left out once the passages to be scored exceed `max_rows`; the rarest word always counts.

    References
    ----------
    Robertson and Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond, with FTS5's
    k1 = 1.2, b = 0.75, and an idf of ln((N - n + 0.5) / (n + 0.5)) that never falls below 1e-6.
    """

    def __init__(self, corpus: Corpus, *, max_rows: int | None = 1500) -> None:
        """
        Parameters
        ----------
        max_rows : passages to score, summed over words; None scores them all
        """
        if max_rows is not None and max_rows < 1:
            raise ConfigError(f"max_rows is {max_rows}; at least 1 is needed")
        self.corpus, self.max_rows = corpus, max_rows

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """The k best passages, best first; none where no word of the query stands in the corpus.

        Any text is a query: nothing in it is FTS5's syntax. Scores compare passages of one query only.
        """
        wanted = self._affordable(asked(query))
        if not wanted or k < 1:
            return []
        match = " OR ".join(f'"{word}"' for word in wanted)
        rows = self.corpus.rows(
            "SELECT rowid, -rank FROM terms WHERE terms MATCH ? ORDER BY rank LIMIT ?", (match, k)
        )
        return self.corpus.found(dict(rows))

    def _affordable(self, wanted: list[str]) -> list[str]:
        """Words of the corpus, rarest first, as many as `max_rows` allows."""
        wanted = wanted[: _MOST_WORDS * 4]
        marks = ",".join("?" * len(wanted))
        rows = self.corpus.rows(
            f"SELECT term, doc FROM vocabulary WHERE term IN ({marks}) ORDER BY doc, term LIMIT ?",
            (*wanted, _MOST_WORDS),
        )
        kept: list[str] = []
        n_rows = 0
        for term, n_passages in rows:
            n_rows += n_passages
            if kept and self.max_rows is not None and n_rows > self.max_rows:
                break
            kept.append(term)
        return kept
