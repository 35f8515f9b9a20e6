"""Hashed n-grams against plain loops; the cache and the fallback around an embedder."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suffice import embedders
from suffice.embedders import CachedEmbedder, FallbackEmbedder, HashedNgrams
from suffice.errors import ConfigError, EmbedderError, UnknownName
from suffice.protocols import has_features

WIDE = HashedNgrams(buckets=1 << 30)
TEXTS = (
    "What is 2 + 2?\nAnswer: four",
    "the cat the cat THE CAT",
    "naïve café — déjà vu",
    "你好，世界",
    "สวัสดีโลก",
    "مرحبا بالعالم",
    "🙂🙂 ok",
    "_x1 don't",
    "a",
)


def words_of(text: str) -> list[str]:
    """Plain: runs of letters, digits, marks and underscores; any other visible character by itself."""
    found = []
    for run in re.findall(r"[\w\u0300-\u036f]+|[^\w\s]", text.lower().replace("\n", " ¶ ")):
        spaceless = re.fullmatch(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+", run)
        found += list(run) if spaceless else [run]
    return found


def expected_values(grams: Sequence[object]) -> list[float]:
    weights = [1 + math.log(count) for count in Counter(grams).values()]
    norm = math.sqrt(sum(weight * weight for weight in weights))
    return sorted(weight / norm for weight in weights)


@pytest.mark.parametrize("text", [text for text in TEXTS if "ส" not in text])
def test_word_features_equal_a_plain_loop(text: str) -> None:
    words = words_of(text)
    found = WIDE.features([text])
    assert sorted(found.values.tolist()) == pytest.approx(expected_values(words + list(pairwise(words))))


@pytest.mark.parametrize("text", TEXTS)
def test_character_features_equal_a_plain_loop(text: str) -> None:
    spaced = " " + " ".join(text.lower().replace("\n", " ¶ ").split()) + " "
    grams = [spaced[i : i + n] for n in (3, 4, 5) for i in range(len(spaced) - n + 1)]
    found = WIDE.features([text], "characters")
    assert sorted(found.values.tolist()) == pytest.approx(expected_values(grams))


def test_the_same_ngram_falls_into_the_same_bucket_wherever_it_stands() -> None:
    rows = WIDE.features(["red", "a big red", "red herring and more red things", "blue"])
    red, *others, blue = (set(rows.indices[a:b].tolist()) for a, b in pairwise(rows.indptr.tolist()))
    assert all(red <= other for other in others)
    assert not red & blue


def test_word_order_shows_in_pairs_only() -> None:
    one, two = (set(WIDE.features([text]).indices.tolist()) for text in ("dog bites man", "man bites dog"))
    assert len(one & two) == 3
    assert len(one | two) == 7


def test_thai_without_spaces_is_split() -> None:
    assert len(WIDE.features(["สวัสดีโลก"]).indices) > 5


@given(st.lists(st.text(max_size=60), max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_text_gives_well_formed_rows(texts: list[str]) -> None:
    embedder = HashedNgrams(buckets=1 << 12)
    for kind, width in (("words", 1 << 12), ("characters", 1 << 12), ("both", 1 << 13)):
        rows = embedder.features(texts, kind)  # type: ignore[arg-type]
        assert (rows.n_rows, rows.n_columns) == (len(texts), width)
        assert rows.indices.dtype == np.int32
        for start, end in pairwise(rows.indptr.tolist()):
            columns = rows.indices[start:end]
            assert (np.diff(columns) > 0).all()
            assert end == start or (columns[0] >= 0 and columns[-1] < width)
            assert end == start or np.linalg.norm(rows.values[start:end]) == pytest.approx(1, abs=1e-5)
    vectors = embedder.embed(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), 64), np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    assert np.all((norms == 0) | (np.abs(norms - 1) < 1e-5))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    embedder = HashedNgrams()
    together = embedder.embed(list(TEXTS))
    for row, text in zip(together, TEXTS, strict=True):
        np.testing.assert_array_equal(row, embedder.embed([text])[0])


@pytest.mark.parametrize("text", ["", " \n\t ", "\x00\x01"])
def test_nothing_to_read_is_a_zero_row(text: str) -> None:
    assert not len(HashedNgrams().features([text.replace("\n", "")]).indices)
    assert not HashedNgrams().embed([text.strip()])[0].any() or text.strip()


def test_no_texts_are_no_rows() -> None:
    assert HashedNgrams().embed([]).shape == (0, 64)
    assert HashedNgrams().features([]).n_rows == 0


def test_case_width_and_composition_do_not_matter() -> None:
    one = HashedNgrams().embed(["Caf\u00e9 ＡＢＣ", "cafe\u0301 abc"])
    np.testing.assert_array_equal(one[0], one[1])


def test_a_megabyte_counts_by_its_ends() -> None:
    embedder = HashedNgrams()
    long = "first words " + "x " * 500_000 + "last words"
    assert embedder.features([long]).values.size < 20
    near = embedder.features([long, "first", "last", "words first"])
    filled = [set(near.indices[a:b].tolist()) for a, b in pairwise(near.indptr.tolist())]
    assert filled[1] <= filled[0]
    assert filled[2] <= filled[0]


def test_lone_surrogates_are_read() -> None:
    assert HashedNgrams().embed(["\ud800 broken"])[0].any()


def test_the_projection_keeps_inner_products_on_average() -> None:
    embedder = HashedNgrams(dimensions=512)
    texts = ["the weather in Paris today", "today the weather in Rome", "prove that the integral converges"]
    vectors, rows = embedder.embed(texts), embedder.features(texts, "both")
    dense = np.zeros((3, rows.n_columns))
    dense[rows.row_ids(), rows.indices] = rows.values
    np.testing.assert_allclose(vectors @ vectors.T, dense @ dense.T, atol=0.15)


def test_settings_change_name_and_vectors() -> None:
    one, other = HashedNgrams(), HashedNgrams(seed=1)
    assert one.name != other.name
    assert HashedNgrams(dimensions=32).name != one.name
    assert not np.array_equal(one.embed(["hello there"]), other.embed(["hello there"]))
    np.testing.assert_array_equal(one.embed(["hello"]), HashedNgrams().embed(["hello"]))


@pytest.mark.parametrize(
    "params",
    [{"buckets": 1000}, {"buckets": 1}, {"dimensions": 0}, {"words": (2, 1)}, {"characters": (0, 3)}],
)
def test_settings_that_cannot_be(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="needed"):
        HashedNgrams(**params)  # type: ignore[arg-type]


def test_registry() -> None:
    assert "hashed" in embedders.available()
    assert embedders.create("hashed", dimensions=16).dimensions == 16
    with pytest.raises(UnknownName, match="hashed"):
        embedders.get("hushed")


class Counting:
    """A stand-in that counts, and fails while told to."""

    def __init__(self, name: str = "counting", failure: str | None = None) -> None:
        self.name, self.dimensions = name, 2
        self.failure = failure
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.failure:
            raise EmbedderError(self.failure)
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32).reshape(-1, 2)


def test_the_cache_asks_once_and_forgets_the_oldest() -> None:
    inner = Counting()
    cache = CachedEmbedder(inner, n_texts=2)
    np.testing.assert_array_equal(cache.embed(["a", "bb", "a"]), [[1, 1], [2, 1], [1, 1]])
    assert inner.asked == ["a", "bb"]
    cache.embed(["a"])
    cache.embed(["ccc"])  # "bb" was used longest ago
    cache.embed(["a"])
    assert inner.asked == ["a", "bb", "ccc"]
    cache.embed(["bb"])
    assert inner.asked[-1] == "bb"
    assert cache.embed([]).shape == (0, 2)


def test_the_cache_does_not_remember_failures_or_share_its_rows() -> None:
    inner = Counting(failure="down")
    cache = CachedEmbedder(inner)
    with pytest.raises(EmbedderError):
        cache.embed(["a"])
    inner.failure = None
    cache.embed(["a"])[:] = 7
    np.testing.assert_array_equal(cache.embed(["a"]), [[1, 1]])


def test_the_cache_serves_several_threads() -> None:
    cache, texts = CachedEmbedder(HashedNgrams(), n_texts=5), [f"text {i}" for i in range(20)]
    expected = HashedNgrams().embed(texts)
    wrong: list[int] = []

    def ask(offset: int) -> None:
        for i in range(200):
            place = (i * 7 + offset) % 20
            if not np.array_equal(cache.embed([texts[place]])[0], expected[place]):
                wrong.append(place)

    threads = [threading.Thread(target=ask, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_wrappers_pass_features_through_where_there_are_any() -> None:
    wrapped = FallbackEmbedder(CachedEmbedder(HashedNgrams()))
    assert has_features(wrapped)
    assert wrapped.name == HashedNgrams().name
    assert wrapped.features(["hello there"]).n_rows == 1
    assert not has_features(FallbackEmbedder(CachedEmbedder(Counting())))


def test_falling_back_warns_once_an_episode_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Counting(failure="no route"), Counting()
    both = FallbackEmbedder(first, second)
    assert both.degraded is None
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert both.embed(["abc"])[0, 0] == 3
    assert both.degraded == "no route"
    assert len(caplog.records) == 1
    first.failure = None
    both.embed(["abc"])
    assert both.degraded is None
    first.failure = "again"
    with caplog.at_level(logging.WARNING):
        both.embed(["abc"])
    assert len(caplog.records) == 2


def test_without_a_twin_the_failure_is_the_callers() -> None:
    alone = FallbackEmbedder(Counting(failure="no route"))
    with pytest.raises(EmbedderError, match="no route"):
        alone.embed(["abc"])
    assert alone.degraded == "no route"


def test_vectors_of_different_embedders_are_never_mixed() -> None:
    with pytest.raises(ConfigError, match="other vectors"):
        FallbackEmbedder(Counting(), Counting(name="another"))


def test_parameters_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match=r"unknown parameter 'dim'; known: .*dimensions"):
        embedders.create("hashed", dim=32)
    with pytest.raises(ConfigError, match="dimensions is 'many', expected int"):
        embedders.create("hashed", dimensions="many")
