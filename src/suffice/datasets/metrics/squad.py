"""Exact match and F1 over words, as SQuAD, Natural Questions and TriviaQA are scored."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from typing import Final

from suffice.datasets.grading import extract_answer
from suffice.datasets.metrics.base import golds

_ARTICLES: Final = re.compile(r"\b(?:a|an|the)\b")
_QUOTES: Final = "\u2018\u2019\u201c\u201d\u00b4"
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation + _QUOTES)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single blanks.

    As SQuAD's evaluation script; beyond it the text is composed (NFKC) first, and typographic quotes count
    as punctuation.

    Examples
    --------
    >>> normalised("The  Beatles' \\u201cHelp!\\u201d")
    'beatles help'
    """
    text = unicodedata.normalize("NFKC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


class ExactMatch:
    """1 where the answer equals one of the right ones, normalised.

    References
    ----------
    Rajpurkar et al. (2016), SQuAD, section 6.1.
    """

    def score(self, response: str, reference: str) -> float:
        said = normalised(extract_answer(response))
        return float(any(said == normalised(gold) for gold in golds(reference)))


class F1:
    """Harmonic mean of precision and recall over words (a bag), best of the right answers.

    Where either side has no word left after normalisation, 1 if both have none, else 0.

    References
    ----------
    Rajpurkar et al. (2016), SQuAD, section 6.1.

    Examples
    --------
    >>> round(F1().score("It was Paris, France", "Paris"), 2)
    0.4
    """

    def score(self, response: str, reference: str) -> float:
        said = normalised(extract_answer(response)).split()
        return max(_overlap(said, normalised(gold).split()) for gold in golds(reference))


def _overlap(said: list[str], gold: list[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    n_common = sum((Counter(said) & Counter(gold)).values())
    return 2 * n_common / (len(said) + len(gold))
