"""How many equally likely tokens the model chose between, on average.

Needs: logprobs of the chosen tokens. Costs: nothing beyond the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Signal, Unavailable, token_logprobs


def score(logprobs: Sequence[float] | FloatArray | None) -> Reading:
    """Value exp(-mean_t lp_t), at least 1; confidence 1 / value.

    lm-polygraph's "Perplexity" is the mean negative log-likelihood, the logarithm of this value. A token of
    probability 0 gives an infinite perplexity and confidence 0.

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0

    References
    ----------
    Jelinek et al. (1977), Perplexity: a measure of the difficulty of speech recognition tasks.

    Examples
    --------
    >>> round(float(score([-0.5, -1.5])), 4)
    2.7183
    """
    tokens = token_logprobs(logprobs)
    if isinstance(tokens, Unavailable):
        return tokens
    with np.errstate(over="ignore"):
        return read(float(np.exp(-tokens.mean())))


def read(perplexity: float | None) -> Reading:
    """The signal from a perplexity that somebody else recorded.

    Examples
    --------
    >>> read(4.0)
    Signal(value=4.0, confidence=0.25)
    """
    if perplexity is None or np.isnan(perplexity):
        return Unavailable("no perplexity")
    if perplexity < 1 - 1e-6:
        raise ValueError(f"a perplexity is at least 1, not {perplexity}: is it a mean log-likelihood?")
    return Signal(perplexity, 1 / max(perplexity, 1.0))
