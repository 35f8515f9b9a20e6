"""How much of the sampled probability lies near the answer in meaning.

Needs: logprobs of the answer and of n samples, and an NLI model. Costs: n calls, n answers of tokens, n
comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import FloatArray, Reading, Unavailable, sequence_lps, share


def score(
    mean_logprob: float | None,
    sample_mean_logprobs: Sequence[float] | FloatArray | None,
    contradiction: ArrayLike,
    neutral: ArrayLike,
    *,
    texts: Sequence[str] | None = None,
) -> Reading:
    """Value and confidence: sum p k / sum p over the answer (k = 1) and the samples.

    k_i = max(0, 1 - (contradiction_i + neutral_i / 2)), p = exp(mean token log-probability). uqlm gives this
    number, lm-polygraph minus it.

    Parameters
    ----------
    mean_logprob : of the answer's tokens
    sample_mean_logprobs : shape (n_samples,), n_samples at least 1
    contradiction, neutral : shape (n_samples,), NLI probabilities of (answer, sample_i), in [0, 1]
    texts : the samples; where given, a text sampled twice counts once, as in the paper

    References
    ----------
    Qiu & Miikkulainen (2024), Semantic Density: Uncertainty Quantification for Large Language Models.

    Examples
    --------
    >>> float(score(0.0, [0.0], [0.5], [0.5]))
    0.625
    """
    if mean_logprob is None or sample_mean_logprobs is None:
        return Unavailable("no log-probabilities")
    lps = sequence_lps([mean_logprob, *sample_mean_logprobs])  # the answer itself first
    if isinstance(lps, Unavailable):
        return Unavailable("no sample") if not len(sample_mean_logprobs) else lps
    against, beside = np.asarray(contradiction, np.float64), np.asarray(neutral, np.float64)
    if not against.shape == beside.shape == (len(lps) - 1,):
        raise ValueError(f"{len(lps) - 1} samples but NLI shapes {against.shape} and {beside.shape}")
    if np.isnan(against).any() or np.isnan(beside).any():
        return Unavailable("an NLI probability is NaN")
    kernel = np.r_[1.0, np.clip(1 - (against + beside / 2), 0.0, 1.0)]
    p = np.exp(lps)
    if texts is not None:
        if len(texts) != len(lps) - 1:
            raise ValueError(f"{len(lps) - 1} samples but {len(texts)} texts")
        first = [0, *(1 + np.sort(np.unique(np.asarray(texts, dtype=object), return_index=True)[1]))]
        p, kernel = p[first], kernel[first]
    if not p.any():
        return Unavailable("the answer and every sample have probability 0")
    return share(float(p @ kernel / p.sum()))
