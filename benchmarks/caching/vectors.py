"""Vectors of the pairs' texts, each text embedded once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pairs import Written

from suffice.caching.judgement import Pair
from suffice.embedders import create
from suffice.protocols import Embedder

EMBEDDERS = ("hashed", "minilm")


class Vectors:
    """An embedder that remembers, in a file too if one is given."""

    def __init__(self, embedder: str, folder: Path | None = None) -> None:
        self.embedder: Embedder = create(embedder)
        self._file = None if folder is None else folder / f"{embedder}.npz"
        self._of: dict[str, np.ndarray] = {}
        if self._file is not None and self._file.is_file():
            kept = np.load(self._file, allow_pickle=False)
            self._of = dict(zip(kept["texts"].tolist(), kept["rows"], strict=True))

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d)"""
        new = [text for text in dict.fromkeys(texts) if text not in self._of]
        if new:
            self._of.update(zip(new, self.embedder.embed(new), strict=True))
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                np.savez(self._file, texts=np.array(list(self._of)), rows=np.stack(list(self._of.values())))
        return np.stack([self._of[text] for text in texts])

    def pairs(self, written: Iterable[Written]) -> list[Pair]:
        """The pairs with the cosines of their vectors."""
        written = list(written)
        a, b = self([one.a for one in written]), self([one.b for one in written])
        cosines = np.einsum("nd,nd->n", a, b)
        return [
            Pair(a=one.a, b=one.b, same=one.same, cosine=float(cosine))
            for one, cosine in zip(written, cosines, strict=True)
        ]
