"""Token log-probabilities weighed by how much each token matters to the meaning.

Needs: logprobs of the chosen tokens, and a similarity of texts (embeddings or a cross-encoder). Costs: no
further call; one similarity per token.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import FloatArray, Reading, Unavailable, nats, token_logprobs


def score(logprobs: Sequence[float] | FloatArray | None, similarity_without: ArrayLike) -> Reading:
    """Value: sum_t -lp_t R_t / sum R, R_t = 1 - similarity(text, text without token t).

    Confidence exp(-value). Where no token matters (all R are 0) all weigh the same: the mean negative
    log-likelihood. A token of probability 0 that does not matter is left out.

    Parameters
    ----------
    logprobs : shape (n_tokens,), natural logs, at most 0
    similarity_without : shape (n_tokens,), in [0, 1]; the text against the text without that token

    References
    ----------
    Duan et al. (2024), Shifting Attention to Relevance, section 4 (token level).

    Examples
    --------
    >>> float(score([-1.0, -3.0], [0.5, 1.0]))
    1.0
    """
    tokens = token_logprobs(logprobs)
    if isinstance(tokens, Unavailable):
        return tokens
    similarity = np.asarray(similarity_without, dtype=np.float64)
    if similarity.shape != tokens.shape:
        raise ValueError(f"{len(tokens)} tokens but similarities of shape {similarity.shape}")
    if np.isnan(similarity).any():
        return Unavailable("a similarity is NaN")
    relevance = 1 - np.clip(similarity, 0.0, 1.0)
    if not relevance.any():
        relevance = np.ones_like(relevance)
    counts = relevance > 0
    return nats(float(-(tokens[counts] @ relevance[counts]) / relevance.sum()) + 0.0)
