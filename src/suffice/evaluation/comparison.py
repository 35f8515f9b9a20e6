"""The result of `suffice evaluate`, field by field as its JSON has it.

Costs are USD per 1,000 queries, shares and qualities lie in [0, 1], null is unknown. JSON has no
infinity: the last point of a curve, where only quality counts, has `value_usd` null.
"""

from __future__ import annotations

import msgspec


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the utility policy."""

    value_usd: float | None
    """What a right answer was worth; null is infinity."""
    cost_usd_per_1k: float | None
    quality: float


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """How well a router ranks queries for a strong and a weak model; all are shares."""

    apgr: float
    cpt50: float
    cpt80: float


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


class CostQuality(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline that is one point."""

    quality: float
    cost_usd_per_1k: float | None


class SingleModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model asked for everything."""

    model: str
    quality: float
    cost_usd_per_1k: float | None


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


class CrossValidated(msgspec.Struct, frozen=True, kw_only=True):
    """What cross-validation on the training queries said of a router."""

    aiq: float | None
    max_quality: float
    apgr: float | None


class TaskMeans(msgspec.Struct, frozen=True, kw_only=True):
    """Every query scored by its task's training means. It reads the task label; a router must not."""

    aiq: float | None
    pair: PairResult | None


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One split of several."""

    seed: int
    aiq: dict[str, float | None]
    """By router."""
    apgr: dict[str, float | None]
    zero_router_aiq: float | None
    recommended: str
    recommended_aiq: float | None
    task_means: TaskMeans | None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader needs to trust the figures."""

    singles: tuple[SingleModel, ...]
    """Every model, best first."""
    models_left_out: dict[str, str] = {}
    """Model -> why it is not compared."""
    n_test_left_out: int = 0
    """Test queries without a score (and cost) of every model."""
    n_test_seen: int = 0
    """Test queries whose normalised text also stands in the training queries."""
    pair: tuple[str, str] | None = None
    """(strong, weak)."""
    task_means: TaskMeans | None = None
    cross_validation: dict[str, CrossValidated] = {}
    seeds: tuple[SeedResult, ...] = ()
    """One per split where there are several; all other figures are then means over them."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
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
    """Router -> why it did not run."""
    details: Details
