"""Which of some given answers the model finds likeliest, and by how much.

Needs: logprobs of the tokens of each alternative (scored, not sampled). Costs: one scoring call per
alternative with one generated token at most, or one call with all prompts batched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Signal, Unavailable, token_logprobs


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the model thinks of each alternative, in the order given."""

    best: int
    """Highest mean log-probability; the first of equals."""
    means: FloatArray
    sums: FloatArray
    posterior: FloatArray
    """Softmax of the sums: the model's probabilities of the alternatives given that one of them is said."""


def rank(alternatives: Sequence[Sequence[float]]) -> Ranking | Unavailable:
    """Rank alternatives by the mean of their tokens' log-probabilities.

    Parameters
    ----------
    alternatives : per alternative the log-probabilities of its tokens; at least two alternatives

    References
    ----------
    Brown et al. (2020), Language Models are Few-Shot Learners, section 2.4 (per-token normalisation).

    Examples
    --------
    >>> ranking = rank([[-1.0, -1.0], [-1.5]])
    >>> ranking.best, ranking.posterior.round(4).tolist()
    (0, [0.3775, 0.6225])
    """
    rows = []
    for alternative in alternatives:
        tokens = token_logprobs(alternative)
        if isinstance(tokens, Unavailable):
            return tokens
        rows.append(tokens)
    if len(rows) < 2:
        return Unavailable("under two alternatives")
    means, sums = np.array([row.mean() for row in rows]), np.array([row.sum() for row in rows])
    if np.isneginf(sums).all():
        return Unavailable("every alternative has probability 0")
    weights = np.exp(sums - sums.max())
    return Ranking(int(np.argmax(means)), means, sums, weights / weights.sum())


def score(alternatives: Sequence[Sequence[float]]) -> Reading:
    """Value: the best alternative's mean log-probability; confidence: its posterior among the alternatives.

    Chosen by the mean, weighed by the sum: a long best alternative can have a posterior below a half.
    """
    ranking = rank(alternatives)
    if isinstance(ranking, Unavailable):
        return ranking
    return Signal(float(ranking.means[ranking.best]), float(ranking.posterior[ranking.best]))
