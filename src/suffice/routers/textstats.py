"""Simple statistics of a text, for routers that split on features: how long, of what signs, which words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from suffice.types import FloatArray

_MAX_CHARACTERS: Final = 16_384
"""A longer text is counted by its first and last 8,192 characters; its length counts in full."""
_GROUPS: Final = ("?", "()[]{}", "=+*/^<>", "$\\", "\"'`", "_#|", ".,:;")
"""Questions, brackets, arithmetic, LaTeX, quotes, code and tables, sentences."""
_WORDS: Final = ("def ", "return", "import ", "prove", "write", "which of", "how many", "explain")
NAMES: Final = (
    "log_characters",
    "log_words",
    "log_lines",
    "word_length",
    "digits",
    "capitals",
    "other_scripts",
    *(f"signs_{group}" for group in _GROUPS),
    *(word.strip() for word in _WORDS),
)


def text_statistics(texts: Sequence[str]) -> FloatArray:
    """(n, len(NAMES)): logarithms of lengths, shares of characters, and whether some words occur."""
    return np.array([_of(text) for text in texts], np.float64).reshape(len(texts), len(NAMES))


def _of(text: str) -> list[float]:
    length = len(text)
    if length > _MAX_CHARACTERS:
        half = _MAX_CHARACTERS // 2
        text = text[:half] + text[-half:]
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.bincount(np.minimum(points, 128), minlength=129)
    n, n_words = max(len(points), 1), len(text.split())
    low = text.lower()
    return [
        math.log1p(length),
        math.log1p(n_words),
        math.log1p(int(counts[10])),
        n / max(n_words, 1) if n_words else 0.0,
        float(counts[48:58].sum()) / n,
        float(counts[65:91].sum()) / n,
        float(counts[128]) / n,
        *(float(counts[places].sum()) / n for places in _PLACES),
        *(float(word in low) for word in _WORDS),
    ]


_PLACES: Final = [[ord(sign) for sign in group] for group in _GROUPS]
