"""The leak report: which test rows training has seen, the same, nearly or in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.distillation.curating.closeness import Vectors, close_matches
from suffice.distillation.curating.minhash import Sketches, near_matches
from suffice.distillation.curating.texts import bare, normalised
from suffice.types import IntArray

KINDS: Final = ("exact", "normalised", "near", "ngram", "embedding")
_N_WORDS: Final = 8
_MOST_NGRAMS: Final = 0.5
_N_SHOWN: Final = 10


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One way of having seen a test row."""

    n: int
    share: float
    """Of the test rows."""
    examples: tuple[tuple[str, str], ...]
    """(test id, training id) of the first few."""


class LeakReport(msgspec.Struct, frozen=True, kw_only=True):
    """All ways together."""

    n_test: int
    n_train: int
    limit: float
    n_any: int
    """Test rows seen in any way."""
    share: float
    kinds: dict[str, Leak]
    """exact: but for case, width and blanks. normalised: but for digits, punctuation and symbols too. near:
    Jaccard similarity of 8-byte n-grams. ngram: half of its 8-word sequences stand in training. embedding:
    cosine."""
    found: dict[str, tuple[str, str]]
    """Test id -> (the first kind that found it, a training id)."""

    @property
    def is_above(self) -> bool:
        return self.share > self.limit


def leak_report(
    test: Sequence[str],
    train: Sequence[str],
    *,
    test_ids: Sequence[str] | None = None,
    train_ids: Sequence[str] | None = None,
    near: float = 0.8,
    embedding: float = 0.97,
    vectors: tuple[Vectors, Vectors] | None = None,
    sketches: tuple[Sketches, Sketches] | None = None,
    limit: float = 0.01,
) -> LeakReport:
    """Look for every test text in training.

    Parameters
    ----------
    test, train : texts
    test_ids, train_ids : of the texts; None: their numbers
    near : Jaccard similarity from which a text is near
    embedding : cosine from which a text is close
    vectors : unit rows of test and of train; None: embeddings are not looked at
    sketches : of normalised test and training texts, where they are there already
    limit : of the share of test rows that were seen

    Examples
    --------
    >>> found = leak_report(["Gold rose 3 %", "Oil fell"], ["gold rose 12 %", "wheat rose"])
    >>> found.kinds["normalised"].n, found.share
    (1, 0.5)
    """
    tests = test_ids or [str(row) for row in range(len(test))]
    trains = train_ids or [str(row) for row in range(len(train))]
    matches: dict[str, IntArray] = {
        "exact": _same(test, train, normalised),
        "normalised": _same(test, train, bare),
        "near": near_matches(*(sketches or (_sketches(test), _sketches(train))), near),
        "ngram": _contained(test, train),
    }
    if vectors is not None:
        matches["embedding"] = close_matches(*vectors, embedding)
    found: dict[str, tuple[str, str]] = {}
    for kind, of in matches.items():
        for row in np.flatnonzero(of >= 0).tolist():
            found.setdefault(tests[row], (kind, trains[of[row]]))
    n = max(1, len(test))
    return LeakReport(
        n_test=len(test),
        n_train=len(train),
        limit=limit,
        n_any=len(found),
        share=len(found) / n,
        kinds={
            kind: Leak(
                n=int((of >= 0).sum()),
                share=float((of >= 0).sum() / n),
                examples=tuple(
                    (tests[row], trains[of[row]]) for row in np.flatnonzero(of >= 0)[:_N_SHOWN].tolist()
                ),
            )
            for kind, of in matches.items()
        },
        found=found,
    )


def _sketches(texts: Sequence[str]) -> Sketches:
    return Sketches([normalised(text) for text in texts])


def _same(test: Sequence[str], train: Sequence[str], key: Callable[[str], str]) -> IntArray:
    known: dict[str, int] = {}
    for row, text in enumerate(train):
        known.setdefault(key(text), row)
    return np.array([known.get(key(text), -1) for text in test], np.intp)


def _contained(test: Sequence[str], train: Sequence[str]) -> IntArray:
    """Test rows with half of their 8-word sequences in training; shorter texts have none."""
    wanted = {gram for text in test for gram in _ngrams(text)}
    first: dict[int, int] = {}
    for row, text in enumerate(train):
        for gram in _ngrams(text):
            if gram in wanted:
                first.setdefault(gram, row)
    found = np.full(len(test), -1, np.intp)
    for row, text in enumerate(test):
        grams = _ngrams(text)
        seen = [first[gram] for gram in grams if gram in first]
        if grams and len(seen) >= _MOST_NGRAMS * len(grams):
            found[row] = seen[0]
    return found


def _ngrams(text: str) -> list[int]:
    words = normalised(text).split()
    return [hash(tuple(words[at : at + _N_WORDS])) for at in range(len(words) - _N_WORDS + 1)]
