"""What to expect of a model that a router never saw: from its strength, else from its price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from suffice.routers.builtin_data import facts
from suffice.types import Candidate

_SLOPE_WEIGHT: Final = 4.0
"""How much spread of log prices (sum of squares) the panel must show to outvote the shipped slope."""
_LEVEL_WEIGHT: Final = 0.5
"""Known models that the shipped level counts as."""


def prior_scores(
    candidates: Sequence[Candidate], mean_quality: Mapping[str, float]
) -> tuple[dict[str, float | None], str]:
    """Expected mean quality of candidates without any data, and on what it rests.

    A stated strength is taken at its word. Else quality rises with the output price, in logits per factor
    ten: the slope is that of the panel's known models, shrunk to the one that ships, never below 0; the
    height is that of the panel's known models.

    Parameters
    ----------
    mean_quality : in [0, 1], of the candidates that were trained on

    Returns
    -------
    Only candidates that are not in `mean_quality`; None where neither strength nor price is known.
    """
    shipped = facts()
    points = [
        (price, _logit(mean_quality[c.name]))
        for c in candidates
        if c.name in mean_quality and (price := log_price(c)) is not None
    ]
    slope, x_mean, height = shipped.price_slope, shipped.price_mean, shipped.level
    if points:
        n = len(points)
        x0, y0 = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
        squares = sum((x - x0) ** 2 for x, _ in points)
        products = sum((x - x0) * (y - y0) for x, y in points)
        slope = max((products + _SLOPE_WEIGHT * slope) / (squares + _SLOPE_WEIGHT), 0.0)
        there = height + slope * (x0 - x_mean)
        height, x_mean = (n * y0 + _LEVEL_WEIGHT * there) / (n + _LEVEL_WEIGHT), x0
    found: dict[str, float | None] = {}
    for candidate in candidates:
        if candidate.name in mean_quality:
            continue
        price = log_price(candidate)
        if candidate.strength is not None:
            found[candidate.name] = min(max(candidate.strength, 0.0), 1.0)
        else:
            found[candidate.name] = None if price is None else _chance(height + slope * (price - x_mean))
    basis = f"{len(points)} known models and the shipped relation" if points else "the shipped relation"
    return found, f"strength where stated, else output price by {basis} (+{slope:.2f} logits per factor 10)"


def log_price(candidate: Candidate) -> float | None:
    """log10 of the output price in USD per million tokens; None where unknown or free."""
    price = candidate.price.output_usd_per_mtok
    return None if price is None or price <= 0 else math.log10(float(price))


def _logit(quality: float) -> float:
    inside = min(max(quality, 0.02), 0.98)
    return math.log(inside / (1 - inside))


def _chance(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
