"""What confidences say about the truth: log-likelihood, and a test whether they can be probabilities."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from suffice.metrics.checks import BadScores, classified, paired

_EPS: Final = float(np.finfo(np.float64).eps)


class Spiegelhalter(NamedTuple):
    """Outcome of `spiegelhalter_test`."""

    z: float
    """About standard normal if confidences are probabilities; above 0 where they go too far."""
    p: float
    """Two-sided."""


def negative_log_likelihood(confidence: ArrayLike, correct: ArrayLike, eps: float = _EPS) -> float:
    """Mean of -ln of the probability given to what turned out: log loss, cross-entropy.

    Parameters
    ----------
    confidence : shape (n,), in [0, 1]; or (n, K), the probabilities of K classes
    correct : shape (n,), right or wrong, or a quality q in [0, 1], which counts as q right and 1 - q wrong;
        with (n, K), labels
    eps : at least 0, below 0.5
        Confidences count as at least eps and at most 1 - eps, as in scikit-learn. With 0, one answer that is
        wrong for certain makes the result infinite.

    Returns
    -------
    float, at least 0, in nats

    Raises
    ------
    BadScores
        If lengths differ, there is no row, or a value is missing or outside [0, 1].

    Examples
    --------
    >>> negative_log_likelihood([0.5, 0.5], [1, 0])
    0.6931471805599453
    """
    if not 0 <= eps < 0.5:
        raise BadScores(f"eps is {eps}, expected 0 to below 0.5: 1e-15 is usual")
    if np.ndim(confidence) == 2:
        probs, labels = classified(confidence, correct)
        given = np.clip(probs[np.arange(len(labels)), labels], eps, 1 - eps)
        with np.errstate(divide="ignore"):
            return float(-np.log(given).mean())
    sure, right = paired(confidence, correct)
    sure = np.clip(sure, eps, 1 - eps)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = -np.where(right > 0, right * np.log(sure), 0.0)
        loss -= np.where(right < 1, (1 - right) * np.log1p(-sure), 0.0)
    return float(loss.mean())


def spiegelhalter_test(confidence: ArrayLike, correct: ArrayLike) -> Spiegelhalter:
    """Whether confidences can be the probabilities of being right: z and a two-sided p-value.

    z = sum (y - c)(1 - 2c) / sqrt(sum (1 - 2c)^2 c (1 - c)): the Brier score less its mean over its spread if
    every c is the chance of y = 1. Needs no bins. The normal law is good from a few dozen answers that
    are not all near certain.

    Parameters
    ----------
    confidence : shape (n,), in [0, 1]; of (n, K) the top label is taken
    correct : shape (n,), right or wrong, nothing between

    Returns
    -------
    Spiegelhalter; NaN where all confidences are 0, 0.5 or 1 and no certain one is wrong (nothing can be
    tested), z infinite and p 0 where one is

    Raises
    ------
    BadScores
        If lengths differ, there is no row, a value is missing or outside [0, 1], or a correctness lies
        between 0 and 1.

    References
    ----------
    Spiegelhalter (1986), Probabilistic prediction in patient management and clinical trials.

    Examples
    --------
    >>> spiegelhalter_test([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0])
    Spiegelhalter(z=0.0, p=1.0)
    """
    sure, right = paired(confidence, correct, binary=True)
    excess = float(((right - sure) * (1 - 2 * sure)).sum())
    variance = float(((1 - 2 * sure) ** 2 * sure * (1 - sure)).sum())
    untestable = math.inf if excess > 0 else math.nan
    z = excess / math.sqrt(variance) if variance > 0 else untestable
    return Spiegelhalter(z, math.erfc(abs(z) / math.sqrt(2)))
