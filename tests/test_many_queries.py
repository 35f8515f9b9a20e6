"""Bounds that hold with very many training queries, tried with few: samples are drawn by the texts."""

from __future__ import annotations

import numpy as np
import pytest

from suffice.embedders import HashedNgrams
from suffice.outcomes import Outcomes
from suffice.routers import create, lsa, ridge

EMBEDDER = HashedNgrams()


def outcomes(n: int = 120) -> Outcomes:
    rng = np.random.default_rng(0)
    is_verse = rng.random(n) < 0.5
    words = [f"word{i}" for i in range(30)]
    texts = [
        f"{'rhyme poem' if verse else 'loop python'} {' '.join(rng.choice(words, 4))} {i}"
        for i, verse in enumerate(is_verse)
    ]
    quality = np.where(is_verse[:, None], (0.9, 0.2), (0.1, 0.8)) + rng.normal(0, 0.05, (n, 2))
    return Outcomes.from_arrays(texts, ("poet", "coder"), quality.clip(0, 1))


@pytest.mark.parametrize("name", ["ridge", "knn", "blend"])
def test_samples_do_not_depend_on_the_order_of_queries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "_MAX_ROWS", 60)
    monkeypatch.setattr(ridge, "_MAX_CHOOSING", 40)
    monkeypatch.setattr(lsa, "_MAX_TEXTS", 50)
    monkeypatch.setattr(lsa, "_BLOCK", 7)
    table = outcomes()
    turned = table.select(np.random.default_rng(1).permutation(len(table.queries)))
    first, other = (create(name, EMBEDDER).fit(one).scores(table.queries) for one in (table, turned))
    np.testing.assert_allclose(first, other, atol=1e-4)
    is_verse = np.array(["poem" in text for text in table.texts])
    assert (np.argmax(first, axis=1) == np.where(is_verse, 0, 1)).mean() > 0.95


def test_vectors_in_blocks_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = outcomes().texts
    monkeypatch.setattr(lsa, "_MAX_TEXTS", 50)
    monkeypatch.setattr(lsa, "_BLOCK", 7)
    projection, vectors = lsa.Lsa.of_texts(texts, EMBEDDER, dimensions=8, seed=0)
    np.testing.assert_array_equal(vectors, projection.project(EMBEDDER.features(texts)))
