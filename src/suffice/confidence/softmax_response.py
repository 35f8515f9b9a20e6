"""A classifier's probability of the class it chose.

Needs: class probabilities, hence the weights or a server that returns them. Costs: nothing beyond the answer.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from suffice.confidence.base import Reading, distributions, share


def score(probabilities: ArrayLike) -> Reading:
    """Value and confidence: max_k p_k.

    Parameters
    ----------
    probabilities : shape (n_classes,), n_classes at least 2, sum 1

    References
    ----------
    Hendrycks & Gimpel (2017), A Baseline for Detecting Misclassified and Out-of-Distribution Examples;
    Geifman & El-Yaniv (2017), Selective Classification (softmax response).

    Examples
    --------
    >>> float(score([0.2, 0.7, 0.1]))
    0.7
    """
    return share(float(distributions(probabilities, 1).max()))
