"""Passages for a query: a corpus on disk, and the indexes that search it.

What uses them asks for a `suffice.protocols.Retriever`; `suffice.gating` decides whether to ask at all.
"""

from __future__ import annotations

from typing import Any

from suffice.protocols import Embedder, Retriever
from suffice.registry import Registry
from suffice.retrieval.bm25s import Bm25s
from suffice.retrieval.chunking import check_sizes, chunks
from suffice.retrieval.citing import as_data, citations
from suffice.retrieval.corpus import Added, Corpus, Document, Listed
from suffice.retrieval.fts5 import Fts5
from suffice.retrieval.hybrid import Hybrid
from suffice.retrieval.loading import Skipped, load
from suffice.retrieval.vector import Vector
from suffice.types import Citation

__all__ = [
    "Added",
    "Bm25s",
    "Citation",
    "Corpus",
    "Document",
    "Fts5",
    "Hybrid",
    "Listed",
    "Skipped",
    "Vector",
    "as_data",
    "available",
    "check_sizes",
    "chunks",
    "citations",
    "create",
    "get",
    "load",
    "registry",
]

_HERE = "suffice.retrieval"
registry = Registry(
    "retriever",
    "suffice.retrievers",
    {
        "fts5": f"{_HERE}.fts5:Fts5",
        "bm25s": f"{_HERE}.bm25s:Bm25s",
        "vector": f"{_HERE}.vector:Vector",
        "hybrid": f"{_HERE}.hybrid:over",
    },
)


def available() -> tuple[str, ...]:
    """Names of all retrievers that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, corpus: Corpus, *, embedder: Embedder | None = None, **params: Any) -> Retriever:
    """A retriever over a corpus.

    Parameters
    ----------
    embedder : for `vector` and `hybrid`
    """
    fixed: dict[str, Any] = {"corpus": corpus}
    if name in ("vector", "hybrid"):
        fixed["embedder"] = embedder
    made: Retriever = registry.create(name, params, fixed)
    return made
