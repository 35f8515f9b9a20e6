"""Several retrievers as one: their ranks are added, since their scores have no common scale."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from suffice.errors import ConfigError
from suffice.protocols import Embedder, Retriever
from suffice.retrieval.corpus import Corpus
from suffice.retrieval.fts5 import Fts5
from suffice.retrieval.vector import Vector
from suffice.types import Passage


class Hybrid:
    """Reciprocal rank fusion: a passage scores the sum of 1 / (constant + rank) over the retrievers.

    References
    ----------
    Cormack, Clarke and Büttcher (2009), Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods; constant = 60 as there.
    """

    def __init__(self, retrievers: Sequence[Retriever], *, constant: float = 60, depth: int = 100) -> None:
        """
        Parameters
        ----------
        depth : passages that each retriever is asked for; more where k is larger
        """
        if not retrievers or constant < 0 or depth < 1:
            raise ConfigError("at least one retriever, constant >= 0 and depth >= 1 are needed")
        self.retrievers, self.constant, self.depth = tuple(retrievers), constant, depth

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """The k best by the sums of all retrievers; equal ones in the order of their ids."""
        if k < 1:
            return []
        scores: dict[str, float] = {}
        passages: dict[str, Passage] = {}
        for retriever in self.retrievers:
            for rank, passage in enumerate(retriever.search(query, max(k, self.depth)), 1):
                scores[passage.id] = scores.get(passage.id, 0.0) + 1 / (self.constant + rank)
                passages[passage.id] = passage
        best = sorted(scores, key=lambda id: (-scores[id], id))[:k]
        return [msgspec.structs.replace(passages[id], score=scores[id]) for id in best]


def over(
    corpus: Corpus,
    embedder: Embedder | None,
    *,
    rebuild: bool = False,
    constant: float = 60,
    depth: int = 100,
) -> Hybrid:
    """Words and vectors of one corpus."""
    both = (Fts5(corpus), Vector(corpus, embedder, rebuild=rebuild))
    return Hybrid(both, constant=constant, depth=depth)
