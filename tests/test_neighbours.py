"""The nearest rows: exact ones against a sort of all, and nearly all of them from a few blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suffice.embedders import HashedNgrams
from suffice.errors import ArtefactError
from suffice.outcomes import Outcomes
from suffice.routers import create
from suffice.routers.cells import unit_rows
from suffice.routers.knn import KNN
from suffice.routers.neighbours import BlockIndex, ExactIndex, build_index


@pytest.mark.parametrize(("n", "k"), [(5, 10), (40, 7), (3000, 30), (1, 1), (10_000, 60)])
def test_the_exact_index_finds_the_nearest(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    vectors, queries = rng.standard_normal((n, 8), np.float32), rng.standard_normal((3, 8), np.float32)
    for asked in (queries, queries[:1]):
        near, cosines = ExactIndex(vectors).nearest(asked, k)
        expected = -np.sort(-(asked @ vectors.T), axis=1)[:, :k]
        np.testing.assert_allclose(-np.sort(-cosines, axis=1), expected, rtol=1e-5)
        assert all(len(set(row)) == min(n, k) for row in near.tolist())


def test_the_block_index_finds_nearly_all() -> None:
    rng = np.random.default_rng(0)
    themes = rng.standard_normal((60, 16), np.float32)
    vectors, queries = (
        unit_rows(themes[rng.integers(60, size=n)] + rng.standard_normal((n, 16), np.float32) * 0.5)
        for n in (3001, 50)
    )
    index, exact = BlockIndex(vectors), ExactIndex(vectors)
    np.testing.assert_array_equal(index.vectors, vectors)
    for k in (1, 30, 200, 3001):
        near, cosines = index.nearest(queries, k)
        assert near.shape == cosines.shape == (50, k)
        assert all(len(set(row)) == k for row in near.tolist())
        np.testing.assert_allclose(cosines, np.einsum("nd,nkd->nk", queries, vectors[near]), atol=1e-5)
        wanted = exact.nearest(queries, k)[0]
        found = [len(set(a) & set(b)) / k for a, b in zip(near.tolist(), wanted.tolist(), strict=True)]
        assert np.mean(found) > 0.95


@pytest.mark.parametrize("n", [1, 2, 3, 17, 100])
def test_the_block_index_of_few_zero_or_equal_rows(n: int) -> None:
    for vectors in (np.zeros((n, 4), np.float32), unit_rows(np.ones((n, 4), np.float32))):
        near, _ = BlockIndex(vectors).nearest(vectors[:1], 5)
        assert len(set(near[0].tolist())) == min(n, 5)


def test_the_block_index_does_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(1)
    vectors = unit_rows(rng.standard_normal((2000, 8), np.float32))
    turned = rng.permutation(2000)
    query = vectors[:1]
    near, other = (BlockIndex(rows).nearest(query, 20)[0][0] for rows in (vectors, vectors[turned]))
    assert set(near.tolist()) == set(turned[other].tolist())


def test_a_saved_order_must_be_one() -> None:
    vectors = unit_rows(np.random.default_rng(2).standard_normal((50, 8), np.float32))
    order = BlockIndex(vectors).order
    assert order is not None
    assert build_index(vectors, "approximate", order).nearest(vectors[:1], 3)[0][0, 0] in range(50)
    for broken in (order[:-1], np.zeros(50, np.int32), order - 1):
        with pytest.raises(ArtefactError, match="order"):
            build_index(vectors, "approximate", broken)


def test_knn_by_blocks_survives_a_save(tmp_path: Path) -> None:
    embedder = HashedNgrams()
    texts = [f"question {i % 7} about number {i}" for i in range(90)]
    outcomes = Outcomes.from_arrays(texts, ("a", "b"), np.random.default_rng(3).random((90, 2)))
    router = create("knn", embedder, index="approximate").fit(outcomes)
    router.save(tmp_path)
    again = KNN.load(tmp_path, embedder=embedder)
    np.testing.assert_array_equal(router.scores(outcomes.queries), again.scores(outcomes.queries))
