"""How many different meanings the samples have.

Needs: text only, n samples and their meaning clusters. Costs: n calls, n answers of tokens, the comparisons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import Reading, Signal, Unavailable


def score(clusters: ArrayLike) -> Reading:
    """Value: the number of clusters, 1 to n; confidence 1 - (value - 1) / (n - 1).

    Parameters
    ----------
    clusters : shape (n_samples,), n_samples at least 2; of `meaning_clusters.from_components` for the number
        that lm-polygraph gives

    References
    ----------
    Lin et al. (2024), Generating with Confidence, section 4.2.

    Examples
    --------
    >>> score([0, 0, 1])
    Signal(value=2.0, confidence=0.5)
    """
    labels = np.asarray(clusters)
    if labels.ndim != 1:
        raise ValueError(f"clusters of n samples have shape (n,), not {labels.shape}")
    if len(labels) < 2:
        return Unavailable("under two samples: nothing to compare")
    n_sets = len(np.unique(labels))
    return Signal(float(n_sets), 1 - (n_sets - 1) / (len(labels) - 1))
