"""Quantiles of the tokens' log-probabilities: what a learned deferral rule reads.

Needs: logprobs of the chosen tokens. Costs: nothing beyond the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Signal, Unavailable, token_logprobs

QUANTILES: FloatArray = np.r_[np.arange(11) / 100, np.arange(2, 11) / 10]
"""0, 0.01, ..., 0.1, 0.2, ..., 1: the grid of the paper, dense where the doubtful tokens are."""

NAMES = (*(f"q{quantile:g}" for quantile in QUANTILES), "n_tokens", "sum")
"""What `features` returns, in order."""

_LOWEST = -745.0
"""Stands for -inf, so that interpolation stays a number: the log of the smallest positive float64."""


def features(logprobs: Sequence[float] | FloatArray | None) -> FloatArray | Unavailable:
    """The quantiles of lp_t on the grid, the number of tokens, and the sum; shape (22,), all finite.

    Quantiles interpolate linearly between order statistics. For `combined` or any other learned rule.

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0

    References
    ----------
    Gupta et al. (2024), Language Model Cascades: Token-Level Uncertainty and Beyond.

    Examples
    --------
    >>> features([-2.0, 0.0])[[0, 10, 15, 19, 20, 21]].round(6).tolist()
    [-2.0, -1.8, -0.8, 0.0, 2.0, -2.0]
    """
    tokens = token_logprobs(logprobs)
    if isinstance(tokens, Unavailable):
        return tokens
    tokens = np.maximum(tokens, _LOWEST)
    return np.concatenate([np.quantile(tokens, QUANTILES), [len(tokens), tokens.sum()]])


def score(logprobs: Sequence[float] | FloatArray | None, *, quantile: float = 0.1) -> Reading:
    """Value: one quantile of lp_t; confidence: exp of it. Quantile 0 is `min_token_probability`.

    The default, which leaves out the tenth of tokens that are least likely, is ours; the paper learns the
    weights of all of them.

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0
    quantile : in [0, 1]
    """
    tokens = token_logprobs(logprobs)
    if isinstance(tokens, Unavailable):
        return tokens
    value = float(np.quantile(np.maximum(tokens, _LOWEST), quantile))
    return Signal(value, float(np.exp(value)))
