"""Strong-weak pairs: how much of the strong model's gain a router keeps for a share of its calls.

Queries are ranked by how much better the strong model is predicted to do; sending the first k of them
to it, for every k, gives a curve of performance gap recovered (PGR) over the share of strong calls.

Queries with equal predictions have no order. Their gain is shared out evenly, which is the mean over
all orders of the tie and draws a straight line across it, so no result depends on the order of rows.

References
----------
Ong et al. (2024), RouteLLM, arXiv 2406.18665, section 3: PGR, APGR, CPT. The paper averages ten cuts;
here every cut counts, by trapezoids.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.bootstrap import resample_counts

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-12


class PgrCurve(NamedTuple):
    """PGR over the share of strong calls, with a straight line between neighbours."""

    share: FloatArray
    """(n_corners,): strictly ascending from 0 to 1; one corner per distinct prediction."""
    pgr: FloatArray
    """(n_corners,): from 0 to 1, and anything on the way: below 0 and above 1 too."""


def pgr(quality: float, strong: float, weak: float) -> float:
    """Performance gap recovered: where quality lies between weak (0) and strong (1).

    Raises
    ------
    ValueError
        If strong does not exceed weak.

    References
    ----------
    RouteLLM (arXiv 2406.18665), equation 4.

    Examples
    --------
    >>> pgr(0.75, strong=1.0, weak=0.5)
    0.5
    """
    if not strong > weak:
        raise ValueError(f"strong has {strong}, weak {weak}: there is no gap to recover; swap the pair")
    return (quality - weak) / (strong - weak)


def pgr_curve(difference: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> PgrCurve:
    """PGR at every cut of the ranking.

    Parameters
    ----------
    difference : shape (n_queries,)
        Predicted score of the strong model less that of the weak one; only its order matters.
    strong, weak : shape (n_queries,)
        Measured quality of each.

    Raises
    ------
    ValueError
        If shapes differ, there is no query, a number is NaN, or strong is not better on average.

    Examples
    --------
    >>> curve = pgr_curve([0.9, 0.1], strong=[1.0, 1.0], weak=[0.0, 1.0])
    >>> curve.share.tolist(), curve.pgr.tolist()
    ([0.0, 0.5, 1.0], [0.0, 1.0, 1.0])
    """
    rank, gain, total = _ranked_gain(difference, strong, weak)
    ends = np.append(np.flatnonzero(np.diff(rank)), len(rank) - 1)  # last query of each tie
    share = np.concatenate([[0.0], (ends + 1) / len(rank)])
    return PgrCurve(share, np.concatenate([[0.0], np.cumsum(gain)[ends] / total]))


def apgr(difference: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> float:
    """Average PGR: the area under `pgr_curve`.

    Parameters, errors: as `pgr_curve`.

    Returns
    -------
    float; 0.5 for a router that knows nothing, over 1 is possible where the weak model wins queries

    Examples
    --------
    >>> apgr([0.5, 0.5], strong=[1.0, 1.0], weak=[0.0, 1.0])
    0.5
    """
    share, recovered = pgr_curve(difference, strong, weak)
    return float((recovered[1:] + recovered[:-1]) @ np.diff(share) / 2)


def resampled_apgr(
    difference: ArrayLike, strong: ArrayLike, weak: ArrayLike, n_resamples: int, *, seed: int = 0
) -> FloatArray:
    """APGR of queries drawn with replacement, over and over.

    Parameters, errors: as `pgr_curve`; the draws are those of `resampled_means`.

    Returns
    -------
    shape (n_resamples,); NaN for a resample in which strong does not gain over weak
    """
    rank, gain, _ = _ranked_gain(difference, strong, weak)
    order = np.argsort(-np.asarray(difference, dtype=np.float64), kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(rank)) + 1])  # of each tie
    areas = []
    for counts in resample_counts(len(rank), n_resamples, seed=seed):
        drawn = counts[:, order]
        share = np.add.reduceat(drawn, starts, axis=1) / len(rank)  # of calls, tie by tie
        gained = np.add.reduceat(drawn * gain, starts, axis=1)
        total = gained.sum(axis=1)
        before = np.cumsum(gained, axis=1) - gained
        area = ((before + gained / 2) * share).sum(axis=1)
        areas.append(np.where(total > 0, area / np.where(total > 0, total, 1.0), np.nan))
    return np.concatenate(areas)


def cpt(difference: ArrayLike, strong: ArrayLike, weak: ArrayLike, target: float) -> float:
    """Call-performance threshold: the least share of strong calls that recovers `target` of the gap.

    Parameters, errors: as `pgr_curve`; target in [0, 1] (CPT(50 %) is target 0.5).

    Returns
    -------
    float in [0, 1], interpolated between cuts

    Examples
    --------
    >>> cpt([0.9, 0.1], strong=[1.0, 1.0], weak=[0.0, 1.0], target=0.5)
    0.25
    """
    if not 0 <= target <= 1:
        raise ValueError(f"target is {target}, expected a share in [0, 1]")
    share, recovered = pgr_curve(difference, strong, weak)
    after = int(np.argmax(recovered >= target - _TOLERANCE))
    if after == 0:
        return 0.0
    low, high = recovered[after - 1], recovered[after]
    part = min(1.0, (target - low) / (high - low))
    return float(share[after - 1] + part * (share[after] - share[after - 1]))


def _ranked_gain(
    difference: ArrayLike, strong: ArrayLike, weak: ArrayLike
) -> tuple[FloatArray, FloatArray, float]:
    """Predictions in descending order, the gain of each query beside it, and the whole gap."""
    rank = np.asarray(difference, dtype=np.float64)
    better = np.asarray(strong, dtype=np.float64)
    gain = better - np.asarray(weak, dtype=np.float64)
    if rank.ndim != 1 or not rank.size or rank.shape != better.shape or rank.shape != gain.shape:
        raise ValueError(f"shapes {rank.shape}, {better.shape}, {gain.shape} must be equal and not empty")
    if np.isnan(rank).any() or np.isnan(gain).any():
        raise ValueError("predictions and qualities must be known: drop rows with NaN")
    if not gain.sum() > 0:
        raise ValueError(f"strong gains {gain.mean():.4g} over weak on average, expected more than 0")
    order = np.argsort(-rank, kind="stable")
    return rank[order], gain[order], float(gain.sum())
