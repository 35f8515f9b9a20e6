"""How spread out a classifier's class probabilities are.

Needs: class probabilities, hence the weights or a server that returns them. Costs: nothing beyond the answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import Reading, Signal, clipped, distributions, entropy


def score(probabilities: ArrayLike) -> Reading:
    """Value: -sum_k p ln p; confidence 1 - value / ln n_classes.

    Parameters
    ----------
    probabilities : shape (n_classes,), n_classes at least 2, sum 1

    References
    ----------
    Shannon (1948), A Mathematical Theory of Communication, section 6.

    Examples
    --------
    >>> score([0.5, 0.5]).confidence
    0.0
    """
    p = distributions(probabilities, 1)
    value = float(entropy(p))
    return Signal(value, clipped(1 - value / float(np.log(len(p)))))
