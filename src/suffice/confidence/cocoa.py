"""Unlikely and unlike its siblings: likelihood times disagreement.

Needs: logprobs of the answer, n samples beside it, and a similarity of texts. Costs: n calls, n answers of
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import FloatArray, Reading, Unavailable, nats, token_logprobs


def score(
    logprobs: Sequence[float] | FloatArray | None,
    similarity_to_samples: ArrayLike,
    *,
    normalised: bool = True,
) -> Reading:
    """Value: u * mean_i (1 - similarity(answer, sample_i)), u = mean (normalised) or sum of -lp_t.

    Confidence exp(-value). uqlm's "CoCoA" is another number: probability times mean cosine. Samples that all
    equal the answer give 0, however unlikely it was.

    Parameters
    ----------
    logprobs : shape (n_tokens,) of the answer, natural logs, at most 0
    similarity_to_samples : shape (n_samples,), in [0, 1]; n_samples at least 1
    normalised : True is CocoaPPL, False CocoaMSP

    References
    ----------
    Vashurin et al. (2025), CoCoA: Towards Efficient and Compact Uncertainty Quantification.

    Examples
    --------
    >>> float(score([-1.0, -3.0], [0.5, 1.0]))
    0.5
    """
    tokens = token_logprobs(logprobs)
    if isinstance(tokens, Unavailable):
        return tokens
    similarity = np.asarray(similarity_to_samples, dtype=np.float64)
    if similarity.ndim != 1:
        raise ValueError(f"similarities to the samples have one axis, not shape {similarity.shape}")
    if not len(similarity) or np.isnan(similarity).any():
        return Unavailable("no sample" if not len(similarity) else "a similarity is NaN")
    disagreement = float(np.mean(1 - np.clip(similarity, 0.0, 1.0)))
    likelihood = -float(tokens.mean() if normalised else tokens.sum())
    return nats(likelihood * disagreement if disagreement else 0.0)  # inf * 0 is no number
