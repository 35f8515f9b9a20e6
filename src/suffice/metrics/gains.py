"""Gains over the best single model and the distance to what is possible, one number each.

References
----------
Li et al. (2026), LLMRouterBench, arXiv 2601.07206: PerfGain, CostSave, Gap@Oracle and ParetoDist. The
paper's sums over data sets are left out: here one set of queries is one table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.frontier import Hull, cost_share

FloatArray = NDArray[np.float64]


def perf_gain(max_quality: float, best_single: float) -> float | None:
    """How much better the best point of a curve is than the best single model, relative to that model.

    Returns
    -------
    float; below 0 where routing never reaches it, None where the best model has quality 0

    Examples
    --------
    >>> perf_gain(1.0, best_single=0.8)
    0.25
    """
    return None if best_single <= 0 else max_quality / best_single - 1


def cost_save(hull: Hull, best_quality: float, best_cost: float) -> float | None:
    """The share of the best single model's cost that is saved at its quality.

    Returns
    -------
    float, at most 1; None where the hull never reaches that quality, or the model costs nothing

    Examples
    --------
    >>> from suffice.metrics import upper_hull
    >>> cost_save(upper_hull([1.0, 3.0], [0.2, 0.8]), best_quality=0.5, best_cost=4.0)
    0.5
    """
    share = cost_share(hull, best_quality, 1.0, best_cost)
    return None if share is None else 1 - share


def oracle_gap(quality: float, oracle: float) -> float | None:
    """What is missing to the oracle, as a share of it.

    Examples
    --------
    >>> oracle_gap(0.75, oracle=1.0)
    0.25
    """
    return None if oracle <= 0 else 1 - quality / oracle


def pareto_distance(points: ArrayLike, frontier: ArrayLike) -> float:
    """Mean distance from a method's points to the frontier of all methods; 0 for one that is the frontier.

    Cost and quality are scaled so that the frontier's own extent is 1 in each; of no extent, 1 unit.

    Parameters
    ----------
    points : shape (n, 2), n at least 1: cost and quality
    frontier : shape (m, 2), m at least 1: corners of a frontier, by ascending cost; lines between them

    Raises
    ------
    ValueError
        If either has no point or another shape.

    Examples
    --------
    >>> pareto_distance([[0.0, 0.5], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    0.0
    """
    own = np.asarray(points, dtype=np.float64)
    corners = np.asarray(frontier, dtype=np.float64)
    for what in (own, corners):
        if what.ndim != 2 or what.shape[1] != 2 or not len(what):
            raise ValueError(f"points of shape {what.shape}: expected (n, 2), n from 1")
    extent = np.ptp(corners, axis=0)
    unit = np.where(extent > 0, extent, 1.0)
    starts, ends = corners[:-1] / unit, corners[1:] / unit
    if len(corners) == 1:
        starts = ends = corners / unit
    return float(_to_segments(own / unit, starts, ends).min(axis=1).mean())


def _to_segments(points: FloatArray, starts: FloatArray, ends: FloatArray) -> FloatArray:
    """(n, m): the distance of every point from every segment."""
    along = ends - starts
    length = (along**2).sum(axis=1)
    apart = points[:, None] - starts
    part = (apart * along).sum(axis=2) / np.where(length > 0, length, 1.0)
    nearest = starts + np.clip(part, 0.0, 1.0)[:, :, None] * along
    return np.asarray(np.sqrt(((points[:, None] - nearest) ** 2).sum(axis=2)))
