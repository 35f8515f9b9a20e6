"""Whether the answer survives when the question is put in other words.

Needs: text only. Costs: one call for the paraphrases (usually five), then one answer per paraphrase, decoded
greedily, or several samples of each. Answers are compared as they stand; None agrees with nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np

from suffice.confidence.base import Reading, Unavailable, share

Answers = Sequence[Sequence[Hashable | None]]
"""Per paraphrase its answers, one or more."""


def score(answers: Answers, *, answer: Hashable | None = None) -> Reading:
    """Value and confidence: the share of the commonest answer, or of the one given.

    Each paraphrase weighs the same, however many samples were drawn of it.

    Parameters
    ----------
    answers : at least two paraphrases with an answer slot; an empty one is left out

    References
    ----------
    Gao et al. (2024), SPUQ: Perturbation-Based Uncertainty Quantification; Ding et al. (2024), Rowen.

    Examples
    --------
    >>> float(score([["18"], ["18"], ["20"], [None]]))
    0.5
    """
    asked = _asked(answers)
    if isinstance(asked, Unavailable):
        return asked
    shares: dict[Hashable, float] = {}
    for samples in asked:
        for given in samples:
            if given is not None:
                shares[given] = shares.get(given, 0.0) + 1 / (len(samples) * len(asked))
    if not shares:
        return Unavailable("no paraphrase got an answer")
    return share(max(shares.values()) if answer is None else shares.get(answer, 0.0))


def between(answers: Answers) -> Reading:
    """Value and confidence: how often answers to two paraphrases agree, mean over pairs of paraphrases.

    Examples
    --------
    >>> round(float(between([["18"], ["18"], ["20"]])), 4)
    0.3333
    """
    asked = _asked(answers)
    if isinstance(asked, Unavailable):
        return asked
    return share(
        float(np.mean([_agreement([(x, y) for x in a for y in b]) for a, b in combinations(asked, 2)]))
    )


def within(answers: Answers) -> Reading:
    """Value and confidence: how often two answers to one paraphrase agree, mean over paraphrases.

    High within and low between says that the wording decides, not chance.

    Examples
    --------
    >>> float(within([["18", "18"], ["20", "18"]]))
    0.5
    """
    asked = [samples for samples in answers if len(samples) > 1]
    if not asked:
        return Unavailable("no paraphrase was sampled twice")
    return share(float(np.mean([_agreement(list(combinations(samples, 2))) for samples in asked])))


def _asked(answers: Answers) -> Answers | Unavailable:
    asked = [samples for samples in answers if len(samples)]
    return asked if len(asked) > 1 else Unavailable("under two paraphrases: nothing to compare")


def _agreement(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    return float(np.mean([a is not None and a == b for a, b in pairs]))
