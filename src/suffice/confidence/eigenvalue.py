"""A soft count of the meanings among the samples.

Needs: text only, n samples and the similarity of every pair. Costs: n calls, n answers of tokens, n (n - 1)
comparisons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence._laplacian import normalised_affinity
from suffice.confidence.base import Reading, Signal, Unavailable, clipped


def score(similarity: ArrayLike) -> Reading:
    """Value: sum_k max(0, 1 - lambda_k), lambda the eigenvalues of I - D^-1/2 W D^-1/2, W = (E + E') / 2.

    From 1 (all the same) to n (all different). Confidence 1 - (value - 1) / (n - 1).

    Parameters
    ----------
    similarity : E, shape (n_samples, n_samples), in [0, 1], e.g. the probability that i entails j; the
        diagonal is used as given, 1 for an answer with itself

    References
    ----------
    Lin et al. (2024), Generating with Confidence, section 4.2 (EigV).

    Examples
    --------
    >>> round(float(score([[1, 1, 0], [1, 1, 0], [0, 0, 1]])), 6)
    2.0
    """
    affinity = normalised_affinity(similarity)
    if isinstance(affinity, Unavailable):
        return affinity
    value = float(np.maximum(np.linalg.eigvalsh(affinity), 0.0).sum())
    return Signal(value, clipped(1 - (value - 1) / (len(affinity) - 1)))
