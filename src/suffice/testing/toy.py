"""A small table with a known structure: three subjects, three arms, each good at one."""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.outcomes import Outcomes

SUBJECTS: Final = {
    "maths": ("integral", "derivative", "equation", "polynomial", "matrix", "theorem", "proof", "converges"),
    "code": ("python", "function", "loop", "compile", "recursion", "array", "pointer", "exception"),
    "verse": ("poem", "rhyme", "sonnet", "metaphor", "stanza", "lyric", "ballad", "verse"),
}
STRENGTHS: Final = {"maths": (0.9, 0.3, 0.6), "code": (0.2, 0.8, 0.6), "verse": (0.5, 0.5, 0.6)}
"""Chance of each arm to be right, by subject."""
ARMS: Final = ("abacus", "coder", "allround")
ODD: Final = ("", " \n ", "x " * 500_000, "你好，世界", "مرحبا", "🙂", "\ud800", "integral\x00theorem")
"""Texts that a router must survive."""


def table(n: int = 150, seed: int = 0, *, known: float = 1.0) -> Outcomes:
    """Queries on three subjects; each arm costs as much as its rank.

    Parameters
    ----------
    n : queries
    known : share of outcomes that are known
    """
    rng = np.random.default_rng(seed)
    subjects = rng.choice(list(SUBJECTS), n)
    texts = [" ".join(rng.choice(SUBJECTS[subject], 5)) + f" {i}" for i, subject in enumerate(subjects)]
    quality = (rng.random((n, 3)) < [STRENGTHS[subject] for subject in subjects]).astype(np.float64)
    quality[rng.random((n, 3)) > known] = np.nan
    return Outcomes.from_arrays(texts, ARMS, quality, cost_usd=np.tile([1e-4, 2e-4, 3e-4], (n, 1)))
