"""How many words, in order, the samples share.

Needs: text only, no model to compare them. Costs: n calls, n answers of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Unavailable, share

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"
"""Kana and Chinese characters: written without spaces, so each is a word."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def score(texts: Sequence[str]) -> Reading:
    """Value and confidence: mean ROUGE-L F1 over all pairs of samples.

    lm-polygraph's number without its English stemmer, and with words of every script (its tokens are a-z and
    0-9 only), so plurals count as different words.

    Parameters
    ----------
    texts : at least two; an empty one resembles only another empty one

    References
    ----------
    Fomicheva et al. (2020), Unsupervised Quality Estimation for Neural Machine Translation;
    Lin (2004), ROUGE.

    Examples
    --------
    >>> float(score(["The cat sat.", "the cat ran"]))  # two of three words
    0.6666666666666666
    """
    if len(texts) < 2:
        return Unavailable("under two samples: nothing to compare")
    return share(float(similarities(texts)[np.triu_indices(len(texts), k=1)].mean()))


def similarities(texts: Sequence[str]) -> FloatArray:
    """ROUGE-L F1 of every pair, shape (n, n), symmetric, 1 on the diagonal: for the graph signals."""
    words = [_WORD.findall(text.casefold()) for text in texts]
    matrix = np.eye(len(texts))
    for i in range(len(texts)):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = _rouge_l(words[i], words[j])
    return matrix


def _rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    if not a or not b:
        return float(not a and not b)
    return 2 * _common(a, b) / (len(a) + len(b))  # F1 of LCS / |a| and LCS / |b|


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, one bit per word of `a` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    everything = (1 << len(a)) - 1
    row = everything
    for word in b:
        here = row & places.get(word, 0)
        row = (row + here | row - here) & everything
    return len(a) - row.bit_count()
