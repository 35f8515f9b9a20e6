"""A cut on one number: where it pays most on labelled queries."""

from __future__ import annotations

import numpy as np

from suffice.types import FloatArray


def searched(sure: FloatArray, kept: FloatArray, gone: FloatArray, n_cuts: int) -> float:
    """The cut with the highest mean value: what is at least that sure is kept.

    Parameters
    ----------
    sure : shape (n,), higher is surer; -inf where unknown
    kept, gone : shape (n,), value of not looking up, and of looking up
    n_cuts : tried, at quantiles

    References
    ----------
    Mallen et al. (2023), When Not to Trust Language Models, section 6: by search on labelled queries.
    """
    known = sure[np.isfinite(sure)]
    inner = np.quantile(known, np.linspace(0, 1, n_cuts)) if len(known) else np.zeros(0)
    most = np.finfo(float).max
    cuts = np.unique(np.concatenate([[-most, most], inner]))
    means = [np.where(sure >= cut, kept, gone).mean() for cut in cuts]
    return float(cuts[int(np.argmax(means))])


def budgeted(sure: FloatArray, share: float) -> float:
    """The cut below which at most that share lies: no label is needed.

    References
    ----------
    TARG (2025), Training-Free Adaptive Retrieval Gating: tau = F_U^-1(1 - rho) of an uncertainty U.

    Examples
    --------
    >>> budgeted(np.array([0.1, 0.2, 0.3, 0.4]), 0.5)
    0.3
    """
    ordered = np.sort(sure)
    place = int(np.floor(share * len(ordered) + 1e-9))
    return float(ordered[place]) if place < len(ordered) else float(np.finfo(float).max)
