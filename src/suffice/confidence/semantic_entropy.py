"""Entropy over meanings instead of wordings.

Needs: n samples and their meaning clusters (`meaning_clusters`); `discrete` text only, the others logprobs.
Costs: n calls, n answers of tokens, and the comparisons. One sample is `Unavailable`. The four numbers
differ: `discrete` and `rao` are entropies in [0, ln n]; `kuhn` and `naive` are mean negative
log-probabilities without an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import (
    FloatArray,
    IntArray,
    Reading,
    Signal,
    Unavailable,
    clipped,
    entropy,
    nats,
    sequence_lps,
)


def discrete(clusters: ArrayLike) -> Reading:
    """Value: -sum_C f ln f, f the share of samples in C; confidence 1 - value / ln n.

    Parameters
    ----------
    clusters : shape (n_samples,), cluster numbers, any integers

    References
    ----------
    Farquhar et al. (2024), Detecting hallucinations in large language models using semantic entropy, Methods.

    Examples
    --------
    >>> discrete([0, 0, 1, 1]).confidence
    0.5
    """
    labels = _labels(clusters)
    if len(labels) < 2:
        return Unavailable("under two samples: nothing to compare")
    return _bounded(np.bincount(labels) / len(labels), len(labels))


def rao(clusters: ArrayLike, mean_logprobs: Sequence[float] | FloatArray | None) -> Reading:
    """Value: -sum_C P ln P, P(C) = sum_{i in C} p_i / sum_i p_i; confidence 1 - value / ln n.

    Parameters
    ----------
    clusters : shape (n_samples,)
    mean_logprobs : shape (n_samples,), mean token log-probability of each sample; p_i is exp of it

    References
    ----------
    Farquhar et al. (2024), Methods (Rao-Blackwellised), as their code computes it.

    Examples
    --------
    >>> round(rao([0, 1], [0.0, np.log(1 / 3)]).value, 4)
    0.5623
    """
    lps, labels = sequence_lps(mean_logprobs), _labels(clusters)
    if isinstance(lps, Unavailable):
        return lps
    log_mass = _log_mass(labels, lps)
    if np.isneginf(log_mass).all():
        return Unavailable("every sample has probability 0")
    mass = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    return _bounded(mass, len(labels))


def kuhn(clusters: ArrayLike, log_likelihoods: Sequence[float] | FloatArray | None) -> Reading:
    """Value: -(1/n) sum_i ln sum_{j in C(i)} p_j, p_j = exp(sum of token log-probabilities), unnormalised.

    Confidence exp(-value), at most 1. Duplicates each add their p again and can bring the value below 0.

    Parameters
    ----------
    clusters : shape (n_samples,)
    log_likelihoods : shape (n_samples,), sums over tokens

    References
    ----------
    Kuhn et al. (2023), Semantic Uncertainty, as lm-polygraph computes it.

    Examples
    --------
    >>> round(kuhn([0, 0], np.log([0.25, 0.25])).value, 4)
    0.6931
    """
    lps, labels = sequence_lps(log_likelihoods), _labels(clusters)
    if isinstance(lps, Unavailable):
        return lps
    return nats(float(-_log_mass(labels, lps)[labels].mean()) + 0.0)


def naive(mean_logprobs: Sequence[float] | FloatArray | None) -> Reading:
    """Value: -(1/n) sum_i mean token log-probability: predictive entropy, normalised for length, no meanings.

    Confidence exp(-value). The baseline that semantic entropy improves on.

    References
    ----------
    Malinin & Gales (2021), Uncertainty Estimation in Autoregressive Structured Prediction.

    Examples
    --------
    >>> naive([-1.0, -2.0]).value
    1.5
    """
    lps = sequence_lps(mean_logprobs)
    return lps if isinstance(lps, Unavailable) else nats(float(-lps.mean()) + 0.0)


def _labels(clusters: ArrayLike) -> IntArray:
    labels = np.asarray(clusters)
    if labels.ndim != 1:
        raise ValueError(f"clusters of n samples have shape (n,), not {labels.shape}")
    return np.unique(labels, return_inverse=True)[1].astype(np.intp)


def _log_mass(labels: IntArray, lps: FloatArray) -> FloatArray:
    """ln sum_{i in C} exp(lp_i) per cluster."""
    if len(labels) != len(lps):
        raise ValueError(f"{len(labels)} clusters but {len(lps)} log-probabilities")
    mass = np.full(labels.max() + 1, -np.inf)
    np.logaddexp.at(mass, labels, lps)
    return mass


def _bounded(shares: FloatArray, n_samples: int) -> Signal:
    value = float(entropy(shares))
    return Signal(value, clipped(1 - value / float(np.log(n_samples))))
