"""What a router must beat: chance, the best single model, their mixtures; and what it cannot: the oracle.

References
----------
Hu et al. (2024), RouterBench, arXiv 2403.12031, section 3: zero router and oracle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.evaluation.comparison import Baselines, ZeroRouter
from suffice.evaluation.figures import CostQuality, SingleModel
from suffice.evaluation.truth import Truth
from suffice.metrics import aiq, upper_hull

_TOLERANCE = 1e-12


def baselines(truth: Truth) -> Baselines:
    """All four, read on the queries of `truth`."""
    return Baselines(
        random=CostQuality(
            quality=float(truth.quality.mean()), cost_usd_per_1k=per_1k(float(truth.mean_cost.mean()))
        ),
        best_single=singles(truth)[0],
        zero_router=_zero_router(truth),
        oracle=_oracle(truth),
    )


def singles(truth: Truth) -> tuple[SingleModel, ...]:
    """Every model alone, best first, ties to the cheaper."""
    quality, cost = truth.mean_quality, truth.mean_cost
    order = sorted(range(len(truth.models)), key=lambda k: (k != truth.best_single, -quality[k], cost[k]))
    return tuple(
        SingleModel(model=truth.models[k], quality=float(quality[k]), cost_usd_per_1k=per_1k(float(cost[k])))
        for k in order
    )


def per_1k(cost_usd: float) -> float | None:
    """USD per query as USD per 1,000 queries; None for NaN."""
    return None if np.isnan(cost_usd) else 1000 * cost_usd


def hull_corners(models: Sequence[SingleModel]) -> tuple[SingleModel, ...]:
    """The models at the corners of the hull; without costs only the best."""
    cost = [model.cost_usd_per_1k for model in models]
    known = [c for c in cost if c is not None]
    if len(known) < len(models):
        return tuple(models[:1])
    hull = upper_hull(known, [model.quality for model in models])
    at = {(model.cost_usd_per_1k, model.quality): model for model in reversed(models)}
    return tuple(at[corner] for corner in zip(hull.costs.tolist(), hull.qualities.tolist(), strict=True))


def _zero_router(truth: Truth) -> ZeroRouter:
    span = truth.cost_range()
    area = None if span is None else aiq(truth.mean_cost, truth.mean_quality, *span)
    return ZeroRouter(aiq=area, curve=hull_corners(singles(truth)))


def _oracle(truth: Truth) -> CostQuality:
    """For every query the highest quality, at the lowest cost that has it."""
    best = truth.quality.max(axis=1)
    cost = np.nan
    if truth.cost_usd is not None:
        is_best = truth.quality >= best[:, None] - _TOLERANCE
        cost = float(np.where(is_best, truth.cost_usd, np.inf).min(axis=1).mean())
    return CostQuality(quality=float(best.mean()), cost_usd_per_1k=per_1k(cost))
