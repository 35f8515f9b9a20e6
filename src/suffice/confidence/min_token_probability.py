"""The weakest link: the least likely token of the answer.

Needs: logprobs of the chosen tokens. Costs: nothing beyond the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Unavailable, share, token_logprobs


def score(logprobs: Sequence[float] | FloatArray | None) -> Reading:
    """Value and confidence exp(min_t lp_t).

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0

    References
    ----------
    Manakul et al. (2023), SelfCheckGPT ("Max" of the token-level measures); Gupta et al. (2024),
    Language Model Cascades: Token-Level Uncertainty and Beyond (quantile 0).

    Examples
    --------
    >>> round(float(score([-0.1, -2.0])), 4)
    0.1353
    """
    tokens = token_logprobs(logprobs)
    return tokens if isinstance(tokens, Unavailable) else share(float(np.exp(tokens.min())))
