"""What one network says with different neurons switched off.

Needs: class probabilities of passes with dropout left on, hence the weights. Costs: one pass per draw (at
least 10 advised), no further training.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from suffice.confidence.base import Reading, Signal, Unavailable, clipped, distributions
from suffice.confidence.deep_ensemble import decompose


def score(probabilities: ArrayLike) -> Reading:
    """Value: mutual information H(mean p) - mean H(p), epistemic; confidence: max_k of mean p.

    The two answer different questions: the value how much the weights are in doubt, the confidence how sure
    the answer is for whatever reason. `deep_ensemble.decompose` gives all parts for many rows.

    Parameters
    ----------
    probabilities : shape (n_passes, n_classes), of one query; one pass is `Unavailable`

    References
    ----------
    Gal & Ghahramani (2016), Dropout as a Bayesian Approximation, section 4; Gal (2016), Uncertainty
    in Deep Learning, section 3.3.1.

    Examples
    --------
    >>> score([[0.5, 0.5], [0.5, 0.5]])
    Signal(value=0.0, confidence=0.5)
    """
    p = distributions(probabilities, 2)
    if len(p) < 2:
        return Unavailable("under two passes")
    parts = decompose(p[:, None])
    return Signal(float(parts.epistemic[0]), clipped(float(parts.mean[0].max())))
