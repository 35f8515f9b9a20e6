"""Likelihood of the samples, raised where other likely samples say the same.

Needs: sequence log-probabilities of n samples, and a similarity of texts. Costs: n calls, n answers of
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import (
    FloatArray,
    Reading,
    Signal,
    Unavailable,
    clipped,
    sequence_lps,
    similarity_matrix,
)


def score(
    log_likelihoods: Sequence[float] | FloatArray | None, similarity: ArrayLike, *, temperature: float = 0.001
) -> Reading:
    """Value: mean_i -ln(p_i + sum_{j != i} p_j g_ij / t).

    Below 0 as soon as likely samples resemble each other, since t is small. Confidence: the geometric mean of
    the same sums over their largest possible value 1 + (n - 1) / t; a rank, far below a probability of being
    right until it is calibrated.

    Parameters
    ----------
    log_likelihoods : shape (n_samples,), the sums of token log-probabilities; minus the values of `token_sar`
        make it the full SAR
    similarity : shape (n_samples, n_samples), in [0, 1]; the diagonal is not used
    temperature : t, above 0

    References
    ----------
    Duan et al. (2024), Shifting Attention to Relevance, section 4 (sentence level).

    Examples
    --------
    >>> round(float(score([0.0, 0.0], [[1, 0], [0, 1]])), 6)
    0.0
    """
    lps, g = sequence_lps(log_likelihoods), similarity_matrix(similarity)
    if isinstance(lps, Unavailable):
        return lps
    if isinstance(g, Unavailable):
        return g
    if g.shape != (len(lps), len(lps)):
        raise ValueError(f"{len(lps)} samples but similarities of shape {g.shape}")
    np.fill_diagonal(g, temperature)  # so that its own term is p_i
    with np.errstate(divide="ignore"):
        log_weights = np.log(g / temperature)
    log_relevance = np.logaddexp.reduce(lps[None, :] + log_weights, axis=1)
    value = float(-log_relevance.mean()) + 0.0
    most = np.log1p((len(lps) - 1) / temperature)
    return Signal(value, clipped(float(np.exp(-value - most))))
