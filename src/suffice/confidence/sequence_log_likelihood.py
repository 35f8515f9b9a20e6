"""How likely the whole answer was: the baseline that every other signal has to beat.

Needs: logprobs of the chosen tokens. Costs: nothing beyond the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Signal, Unavailable, token_logprobs


def score(logprobs: Sequence[float] | FloatArray | None) -> Reading:
    """Value sum_t lp_t, at most 0; confidence exp of it, the probability of this very text.

    Longer answers are less likely whatever they say; see `normalised_probability`. lm-polygraph's
    "MaximumSequenceProbability" is minus this value.

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0

    Examples
    --------
    >>> score([-0.5, -1.5]).value
    -2.0
    """
    tokens = token_logprobs(logprobs)
    if isinstance(tokens, Unavailable):
        return tokens
    total = float(tokens.sum())
    return Signal(total, float(np.exp(total)))
