"""What several trained networks agree and disagree on.

Needs: class probabilities of each member, hence the weights. Costs: one pass per member (at least 5 advised),
and training each. For votes of different LLMs see `ensemble_vote`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import FloatArray, Reading, Signal, Unavailable, clipped, distributions, entropy


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Entropies in nats per row: total = aleatoric + epistemic."""

    mean: FloatArray
    """(n_rows, n_classes), the members' mean probabilities."""
    total: FloatArray
    """H(mean p)."""
    aleatoric: FloatArray
    """Mean H(p): what the members agree cannot be known."""
    epistemic: FloatArray
    """The difference, at least 0: what they disagree on; more data would lower it."""


def decompose(probabilities: ArrayLike) -> Uncertainty:
    """Split the members' uncertainty, row by row.

    Parameters
    ----------
    probabilities : shape (n_members, n_rows, n_classes), n_members at least 1; with one member nothing is
        epistemic

    References
    ----------
    Depeweg et al. (2018), Decomposition of Uncertainty in Bayesian Deep Learning; Houlsby et al. (2011),
    Bayesian Active Learning (BALD).

    Examples
    --------
    >>> decompose([[[1.0, 0.0]], [[0.0, 1.0]]]).epistemic.round(4).tolist()
    [0.6931]
    """
    p = distributions(probabilities, 3)
    mean = p.mean(axis=0)
    total, aleatoric = entropy(mean), entropy(p).mean(axis=0)
    return Uncertainty(mean, total, aleatoric, np.maximum(total - aleatoric, 0.0))


def score(probabilities: ArrayLike) -> Reading:
    """Value: H(mean p), the total uncertainty; confidence: max_k of mean p.

    Parameters
    ----------
    probabilities : shape (n_members, n_classes), of one query; one member is `Unavailable`

    References
    ----------
    Lakshminarayanan et al. (2017), Deep Ensembles, section 2.4.

    Examples
    --------
    >>> score([[0.9, 0.1], [0.5, 0.5]]).confidence
    0.7
    """
    p = distributions(probabilities, 2)
    if len(p) < 2:
        return Unavailable("under two members: see softmax_response")
    parts = decompose(p[:, None])
    return Signal(float(parts.total[0]), clipped(float(parts.mean[0].max())))
