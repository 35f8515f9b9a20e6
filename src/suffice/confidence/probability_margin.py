"""How far ahead of the runner-up the likeliest token was.

Needs: the top 2 logprobs at every token. Costs: nothing beyond the answer (or beyond a 20-token draft, which
is what TARG looks at before it retrieves).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import Reading, Signal, Unavailable, alternatives, share


def score(top_logprobs: Sequence[Sequence[float]] | None) -> Reading:
    """Value and confidence: mean over tokens of p1 - p2, as returned (not renormalised).

    Tokens with under two alternatives are left out.

    Parameters
    ----------
    top_logprobs : per token the log-probabilities of its alternatives in any order

    References
    ----------
    Schwartz et al. (2020), The Right Tool for the Job; Ramirez et al. (2024), Optimising Calls to Large
    Language Models with Uncertainty-Based Two-Tier Selection (margin sampling).

    Examples
    --------
    >>> import math
    >>> round(float(score([[math.log(0.7), math.log(0.2)], [math.log(0.5), math.log(0.5)]])), 6)
    0.25
    """
    rows = alternatives(top_logprobs)
    if isinstance(rows, Unavailable):
        return rows
    return share(float(np.mean([np.exp(row[0]) - np.exp(row[1]) for row in rows])))


def targ(top_logprobs: Sequence[Sequence[float]] | None, *, beta: float = 1.0) -> Reading:
    """Value: mean over tokens of exp(-(l1 - l2) / beta), an uncertainty in [0, 1]; confidence 1 - value.

    The gap of two logits is the gap of their log-probabilities, so logits are not needed.

    References
    ----------
    TARG (2025), Training-Free Adaptive Retrieval Gating (margin).
    """
    rows = alternatives(top_logprobs)
    if isinstance(rows, Unavailable):
        return rows
    value = float(np.mean([np.exp((row[1] - row[0]) / beta) for row in rows]))
    return Signal(value, 1 - value)
