"""Cost-quality frontiers: the non-decreasing upper hull and the average quality under it.

A router is a cloud of (mean cost, mean quality) points, one per setting. Mixing two settings by lot
reaches every point on the line between them, so what the router offers is the upper hull of the cloud.

References
----------
Hu et al. (2024), RouterBench, arXiv 2403.12031, section 3: non-decreasing convex hull and AIQ.
Andrew (1979), Another efficient algorithm for convex hulls in two dimensions: the monotone chain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-12
"""Means of the same numbers in another order differ by about this much."""


class Hull(NamedTuple):
    """Corners of a non-decreasing concave frontier; both arrays ascend strictly."""

    costs: FloatArray
    """(n_corners,)"""
    qualities: FloatArray
    """(n_corners,)"""


def upper_hull(costs: ArrayLike, qualities: ArrayLike) -> Hull:
    """Corners of the non-decreasing upper hull of a cloud of points, in O(n log n).

    Points beyond the best quality are dropped: nobody pays more for less.

    Parameters
    ----------
    costs : shape (n_points,), at least 0, any unit
    qualities : shape (n_points,)

    Returns
    -------
    Hull; of equal costs only the best point can be a corner, points on an edge are none

    Raises
    ------
    ValueError
        If there are no points, the shapes differ or a number is not finite.

    Examples
    --------
    >>> hull = upper_hull([1.0, 2.0, 3.0, 4.0], [0.2, 0.3, 0.8, 0.7])
    >>> hull.costs.tolist(), hull.qualities.tolist()
    ([1.0, 3.0], [0.2, 0.8])
    """
    cost, quality = _checked(costs, qualities)
    order = np.lexsort((-quality, cost))
    corners: list[tuple[float, float]] = []
    for c, q in zip(cost[order].tolist(), quality[order].tolist(), strict=True):
        if corners and q <= corners[-1][1]:  # the last corner is the best so far
            continue
        while len(corners) > 1 and not _turns_right(corners[-2], corners[-1], (c, q)):
            corners.pop()
        corners.append((c, q))
    points = np.array(corners)
    return Hull(points[:, 0], points[:, 1])


def hull_at(hull: Hull, cost: ArrayLike) -> FloatArray:
    """Quality that the hull offers for a cost.

    Parameters
    ----------
    hull : from `upper_hull`
    cost : any shape, in the hull's unit

    Returns
    -------
    array of the shape of cost: 0 left of the first corner (nothing can be had for so little), flat
    right of the last

    Examples
    --------
    >>> hull_at(upper_hull([1.0, 3.0], [0.2, 0.8]), [0.5, 2.0, 9.0]).tolist()
    [0.0, 0.5, 0.8]
    """
    at = np.asarray(cost, dtype=np.float64)
    return np.asarray(np.interp(at, hull.costs, hull.qualities, left=0.0), dtype=np.float64)


def aiq(costs: ArrayLike, qualities: ArrayLike, low: float, high: float) -> float:
    """Average improvement in quality: the mean height of the hull between two costs.

    RouterBench's equation, with the range fixed by the caller (the same for all routers) rather than
    by the curve's own ends, and quality 0 where the curve has not begun.

    Parameters
    ----------
    costs, qualities : shape (n_points,)
        A router's curve, unordered.
    low, high : low <= high
        The range; of no width, the height at it.

    Returns
    -------
    float, on the scale of qualities

    Raises
    ------
    ValueError
        If low exceeds high, or as in `upper_hull`.

    References
    ----------
    RouterBench (arXiv 2403.12031), section 3.3.

    Examples
    --------
    >>> aiq([1.0, 3.0], [0.2, 0.8], low=1.0, high=5.0)
    0.65
    """
    if not low <= high:
        raise ValueError(f"low is {low}, high is {high}: the range must not run backwards")
    hull = upper_hull(costs, qualities)
    if low == high:
        return float(hull_at(hull, low))
    start = min(max(low, float(hull.costs[0])), high)  # the area left of it is 0
    inside = hull.costs[(hull.costs > start) & (hull.costs < high)]
    grid = np.concatenate([[start], inside, [high]])
    height = np.interp(grid, hull.costs, hull.qualities)
    return float((height[1:] + height[:-1]) @ np.diff(grid) / 2 / (high - low))


def cost_share(hull: Hull, best_quality: float, share: float, best_cost: float) -> float | None:
    """What reaching a share of the best single model's quality costs, relative to that model.

    Parameters
    ----------
    hull : from `upper_hull`
    best_quality, best_cost : of the best single model
    share : of best_quality, usually 1.0 or 0.95

    Returns
    -------
    float, at least 0, interpolated along the hull; None if the hull never gets there or the best
    model costs nothing

    Examples
    --------
    >>> hull = upper_hull([1.0, 3.0], [0.2, 0.8])
    >>> cost_share(hull, best_quality=0.5, share=1.0, best_cost=4.0)
    0.5
    """
    level = share * best_quality
    if best_cost <= 0 or hull.qualities[-1] < level - _TOLERANCE:
        return None
    return float(np.interp(level, hull.qualities, hull.costs) / best_cost)


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether the way a, b, c bends downwards at b: slope(a, b) > slope(b, c)."""
    return (b[1] - a[1]) * (c[0] - b[0]) > (c[1] - b[1]) * (b[0] - a[0])


def _checked(costs: ArrayLike, qualities: ArrayLike) -> tuple[FloatArray, FloatArray]:
    cost = np.asarray(costs, dtype=np.float64)
    quality = np.asarray(qualities, dtype=np.float64)
    if cost.ndim != 1 or cost.shape != quality.shape or not cost.size:
        raise ValueError(f"costs {cost.shape} and qualities {quality.shape} must be equal and hold a point")
    if not (np.isfinite(cost).all() and np.isfinite(quality).all()):
        raise ValueError("costs and qualities must be finite: drop points whose cost is not known")
    return cost, quality
