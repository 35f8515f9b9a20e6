"""Synthetic queries that look like real ones to a router: frequent and rare words, themes, all lengths.

Made-up words of syllables with Zipf's frequencies; every query has a theme, which lends it half of its
words, and an opening out of a few. No two models differ by theme alone: quality follows the theme, a
share of it by chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suffice.outcomes import Outcomes

_SYLLABLES = [first + vowel for first in (*"bdfgklmnprstvz", "ch", "st", "tr") for vowel in "aeiou"]
_OPENINGS = (
    "What is",
    "Explain in two sentences",
    "Write a python function that returns",
    "Translate the following paragraph into German:",
    "Which of these is true? A)",
    "Summarise",
    "Compute the probability of",
    "List three famous",
)
_N_WORDS, _N_THEMES, _WORDS_PER_THEME = 40_000, 300, 120


class Texts:
    """A language, and queries in it."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        sizes = self._rng.integers(2, 5, _N_WORDS)
        self._words = ["".join(self._rng.choice(_SYLLABLES, size)) for size in sizes]
        self._of_theme = self._rng.integers(200, _N_WORDS, (_N_THEMES, _WORDS_PER_THEME))
        self._ranks = np.log(np.arange(1, _N_WORDS + 1))

    def themes(self, n: int) -> np.ndarray:
        return np.minimum(self._rng.exponential(_N_THEMES / 4, n).astype(int), _N_THEMES - 1)

    def queries(self, themes: np.ndarray) -> Iterator[str]:
        """One query for each theme."""
        for theme, length in zip(themes, self._rng.lognormal(3.4, 0.6, len(themes)), strict=True):
            n = int(np.clip(length, 4, 400))
            common = np.exp(self._rng.random(n) * self._ranks[-1]).astype(int) - 1  # Zipf
            own = self._of_theme[theme, (self._rng.random(n) ** 2 * _WORDS_PER_THEME).astype(int)]
            chosen = np.where(self._rng.random(n) < 0.5, own, common).tolist()
            yield f"{_OPENINGS[n % len(_OPENINGS)]} {' '.join([self._words[i] for i in chosen])}?"

    def outcomes(self, n: int, n_models: int) -> Outcomes:
        """n queries, each answered by every model."""
        themes = self.themes(n)
        chances = self._rng.beta(2, 1.5, (_N_THEMES, n_models)).astype(np.float32)
        quality = (self._rng.random((n, n_models), np.float32) < chances[themes]).astype(np.float64)
        costs = (self._rng.random((n, n_models)) + 0.1) * np.geomspace(1e-5, 1e-2, n_models)
        arms = [f"model-{i:02}" for i in range(n_models)]
        return Outcomes.from_arrays(list(self.queries(themes)), arms, quality, cost_usd=costs)
