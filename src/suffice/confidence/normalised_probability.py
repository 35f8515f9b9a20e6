"""The geometric mean of the tokens' probabilities.

Needs: logprobs of the chosen tokens. Costs: nothing beyond the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Unavailable, share, token_logprobs


def score(logprobs: Sequence[float] | FloatArray | None) -> Reading:
    """Value and confidence exp(mean_t lp_t), the inverse of perplexity.

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0

    References
    ----------
    Malinin & Gales (2021), Uncertainty Estimation in Autoregressive Structured Prediction.

    Examples
    --------
    >>> score([0.0, 0.0]).confidence
    1.0
    """
    tokens = token_logprobs(logprobs)
    return tokens if isinstance(tokens, Unavailable) else share(float(np.exp(tokens.mean())))
