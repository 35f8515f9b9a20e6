"""What no policy can beat: the Lagrangian bound of a budget, with everything known beforehand."""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.types import FloatArray

_STEPS: Final = 60
_TOLERANCE: Final = 1e-11
_DEAR: Final = 1e12  # USD, of an arm that is not to be had


def lagrangian_bound(
    rewards: FloatArray, costs: FloatArray, budget_usd: float, *, may_refuse: bool = False
) -> tuple[float, float]:
    """UB(B) = min over lam >= 0 of mean_t max_a (r_ta - lam c_ta) + lam B, and the lam that attains it.

    The dual of choosing one arm per query with a mean cost of at most B. It bounds every policy, also one
    that knows all rewards; on many queries the best such policy comes within K / n of it.

    Parameters
    ----------
    rewards, costs : (n, K); costs in USD; an arm with a NaN is not to be had for that query
    budget_usd : B, USD per query, at least 0
    may_refuse : whether not answering, for nothing and worth nothing, is a choice

    Returns
    -------
    bound : mean reward per query; -inf where even the cheapest arms cost more than B
    price : lam, reward per USD; 0 where the budget does not bind

    Raises
    ------
    ValueError
        If shapes differ, there is no query, a query has no arm, a cost is negative, or the budget is negative
        or NaN.

    References
    ----------
    Agrawal and Devanur (2014), Bandits with Concave Rewards and Convex Knapsacks, section 3.

    Examples
    --------
    >>> bound, price = lagrangian_bound(np.array([[0.0, 1.0]]), np.array([[0.0, 2.0]]), 1.0)
    >>> round(bound, 6), round(price, 6)
    (0.5, 0.5)
    """
    rewards, costs = _checked(rewards, costs, budget_usd)
    if may_refuse:
        nothing = np.zeros((len(rewards), 1))
        rewards, costs = np.hstack([rewards, nothing]), np.hstack([costs, nothing])
    price = price_of(rewards, costs, budget_usd)
    if np.isinf(price):
        return -np.inf, price
    value = (rewards - price * costs).max(axis=1, initial=-np.inf, where=~np.isnan(rewards))
    return float(value.mean() + price * budget_usd), price


def price_of(rewards: FloatArray, costs: FloatArray, budget_usd: float) -> float:
    """The lam of `lagrangian_bound`, unchecked: the least price at which the mean cost falls to B.

    Infinite if it never does. Rewards and costs (n, K) of an arm that is not to be had are both NaN.
    """
    rewards, costs = np.ascontiguousarray(rewards.T), np.ascontiguousarray(costs.T)  # (K, n) is faster
    is_away = np.isnan(rewards)
    if is_away.any():
        rewards, costs = np.where(is_away, -np.inf, rewards), np.where(is_away, _DEAR, costs)
    if _mean_cost(rewards, costs, 0.0) <= budget_usd:
        return 0.0
    if costs.min(axis=0).mean() > budget_usd:
        return np.inf
    low, high = 0.0, 1.0
    while _mean_cost(rewards, costs, high) > budget_usd:
        low, high = high, 4 * high
        if high > 1e30:  # equally cheap within rounding
            return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _mean_cost(rewards, costs, middle) > budget_usd:
            low = middle
        else:
            high = middle
        if high - low <= _TOLERANCE * high:
            break
    return high


def _mean_cost(rewards: FloatArray, costs: FloatArray, price: float) -> float:
    """Of the best arms at that price, from (K, n); the cheaper of equals."""
    values = rewards - price * costs
    best = values >= values.max(axis=0)
    return float(np.where(best, costs, np.inf).min(axis=0).mean())


def _checked(rewards: FloatArray, costs: FloatArray, budget_usd: float) -> tuple[FloatArray, FloatArray]:
    """Both, NaN wherever one of them is."""
    rewards, costs = np.asarray(rewards, np.float64), np.asarray(costs, np.float64)
    if rewards.ndim != 2 or rewards.shape != costs.shape or not rewards.size:
        raise ValueError(
            f"rewards {rewards.shape} and costs {costs.shape}: expected the same (n, K), n and K >= 1"
        )
    if not budget_usd >= 0:
        raise ValueError(f"the budget is {budget_usd} USD per query; expected at least 0")
    if (costs < 0).any() or np.isinf(costs).any() or np.isinf(rewards).any():
        raise ValueError(
            "a cost is negative, or a number infinite; expected USD of at least 0, NaN for unknown"
        )
    is_unknown = np.isnan(rewards) | np.isnan(costs)
    if is_unknown.all(axis=1).any():
        raise ValueError("a query has no arm with a known reward and cost")
    return np.where(is_unknown, np.nan, rewards), np.where(is_unknown, np.nan, costs)
