"""Tiers: models of about equal ratings, which then share one.

RouteLLM (Ong et al., 2024, arXiv 2406.18665) groups the models of an arena into 10 tiers, by dynamic
programming, so that the variance of ratings within tiers is least; Fisher (1958), On Grouping for
Maximum Homogeneity.
"""

from __future__ import annotations

import numpy as np

from suffice.types import FloatArray, IntArray


def tiers_of(ratings: FloatArray, n_tiers: int | None) -> IntArray:
    """(K,): the tier of every model, 0 for the lowest; None gives each model its own.

    Of all ways to cut the sorted ratings into `n_tiers` runs, the one of the least sum of squares.

    Examples
    --------
    >>> tiers_of(np.array([0.1, 2.0, 0.0, 2.1, 5.0]), 3).tolist()
    [0, 1, 0, 1, 2]
    """
    k = len(ratings)
    order = np.argsort(ratings, kind="stable")
    if n_tiers is None:
        return np.arange(k)
    ordered = ratings[order]
    sums, squares = (np.concatenate(([0.0], np.cumsum(values))) for values in (ordered, ordered**2))
    ends = np.arange(1, k + 1)
    best = squares[1:] - sums[1:] ** 2 / ends  # of the first 1..K models in one tier
    starts = [np.zeros(k, np.intp)]
    for tier in range(1, min(n_tiers, k)):
        costs = np.full((k, k), np.inf)  # [last, start]: the last tier is start..last
        for last in range(tier, k):
            cut = np.arange(tier, last + 1)
            inside = squares[last + 1] - squares[cut]
            inside -= (sums[last + 1] - sums[cut]) ** 2 / (last + 1 - cut)
            costs[last, cut] = best[cut - 1] + inside
        starts.append(costs.argmin(axis=1))
        best = costs.min(axis=1)
    found = np.empty(k, np.intp)
    end = k
    for tier in range(len(starts) - 1, -1, -1):
        start = int(starts[tier][end - 1])
        found[order[start:end]] = tier
        end = start
    return found
