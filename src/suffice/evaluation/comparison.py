"""The result of `suffice evaluate`, field by field as its JSON has it.

Costs are USD per 1,000 queries, shares and qualities lie in [0, 1], null is unknown. JSON has no
infinity: the last point of a curve, where only quality counts, has `value_usd` null.
"""

from __future__ import annotations

import msgspec

from suffice.evaluation.details import Details
from suffice.evaluation.figures import CostQuality, CurvePoint, PairResult, SingleModel
from suffice.evaluation.plan_figures import PlanResult


class RouterResult(msgspec.Struct, frozen=True, kw_only=True):
    """One router on the test queries."""

    aiq: float | None
    aiq_ci: tuple[float, float] | None
    """95 %, bootstrap over test queries."""
    max_quality: float
    """The highest point of the curve."""
    cost_share_at_best_single: float | None
    cost_share_at_95pct: float | None
    curve: tuple[CurvePoint, ...]
    pair: PairResult | None
    fit_s: float
    decision_us: float
    """Median for one query: embedding, scores, costs and policy."""


class ZeroRouter(msgspec.Struct, frozen=True, kw_only=True):
    """Mixing single models by lot: what can be had without reading the query."""

    aiq: float | None
    curve: tuple[SingleModel, ...]
    """The corners of the hull; its height between them is on the line."""


class Baselines(msgspec.Struct, frozen=True, kw_only=True):
    """What a router is to be compared with; all read on the test queries."""

    random: CostQuality
    """Every model equally often, in expectation."""
    best_single: SingleModel
    """Highest mean quality, ties to the cheaper."""
    zero_router: ZeroRouter
    oracle: CostQuality
    """The cheapest of the best for every query."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """Chosen by cross-validation on training data alone; every figure is from the test queries."""

    router: str
    value_usd: float | None
    """null without costs."""
    aiq: float | None
    aiq_ci: tuple[float, float] | None
    quality: float
    cost_usd_per_1k: float | None
    cost_share_at_best_single: float | None
    cost_share_at_95pct: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Routers and baselines on the same test queries."""

    models: tuple[str, ...]
    n_train: int
    n_test: int
    cost_range_usd_per_1k: tuple[float, float] | None
    """From the cheapest model's mean cost to the best single model's: the range of AIQ."""
    baselines: Baselines
    routers: dict[str, RouterResult]
    recommended: Recommendation
    skipped: dict[str, str]
    """Router or plan -> why it did not run."""
    details: Details
    plans: dict[str, PlanResult] = {}
    """Those that were asked for; not in the JSON where none were."""
