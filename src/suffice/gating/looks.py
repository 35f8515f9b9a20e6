"""What shows in answers from outside: refusals, length, and how far two of them say the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from suffice.types import FloatArray

_REFUSAL: Final = re.compile(
    r"\b(?:no (?:answer|information)"
    r"|not (?:available|mentioned|specified|provided|found|stated|given|known|enough)"
    r"|none|unknown|unclear|cannot|can t|does not|do not|don t|i m sorry)\b"
)
"""English; an answer in another language only lacks this feature."""
_ARTICLES: Final = frozenset({"a", "an", "the"})
_WORD: Final = re.compile(r"\w+")
_LONG: Final = 12
"""Words: from here on it is an explanation rather than an answer."""
_SIDES: Final = ("yes", "no")
N_LOOKS: Final = 8
N_PAIRS: Final = 3


def words(text: str) -> tuple[str, ...]:
    """Lower case, without punctuation and articles.

    >>> words("The Eiffel Tower.")
    ('eiffel', 'tower')
    """
    return tuple(word for word in _WORD.findall(text.casefold()) if word not in _ARTICLES)


def looks(answer: Sequence[str], question: Sequence[str]) -> list[float]:
    """`N_LOOKS` features of one answer, both given as words."""
    text, known = " ".join(answer), set(question)
    return [
        float(np.log1p(len(answer))),
        float(_REFUSAL.search(text) is not None),
        float(text in _SIDES),
        float(any(sign.isdigit() for sign in text)),
        float(bool(text) and f" {text} " in f" {' '.join(question)} "),
        float(len(answer) > _LONG),
        sum(word in known for word in answer) / max(1, len(answer)),
        float(not answer),
    ]


def pair(first: Sequence[str], second: Sequence[str]) -> list[float]:
    """`N_PAIRS` features: the same, share of common words, one inside the other."""
    left, right = " ".join(first), " ".join(second)
    either = set(first) | set(second)
    common = len(set(first) & set(second)) / max(1, len(either))
    inside = bool(left) and bool(right) and (f" {left} " in f" {right} " or f" {right} " in f" {left} ")
    return [float(bool(left) and left == right), common, float(inside)]


def stacked(rows: Sequence[Sequence[float]], width: int) -> FloatArray:
    """(n, width), for no rows too."""
    return np.array(rows, np.float64).reshape(len(rows), width)
