"""What the figures of a comparison rest on, and what was asked for beside it.

All that is said of shares, costs and null in `comparison` holds here too.
"""

from __future__ import annotations

import msgspec

from suffice.evaluation.effort import Effort
from suffice.evaluation.figures import PairResult, Significance, SingleModel


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


class AtValue(msgspec.Struct, frozen=True, kw_only=True):
    """A router on the test queries, at one value of a right answer."""

    value_usd: float | None
    """null without costs: the best score is taken."""
    quality: float
    cost_usd_per_1k: float | None
    quality_share: float | None
    """Of the best single model's."""
    cost_share: float | None
    """Of the best single model's."""
    arena_score: float | None
    """RouterArena's: accuracy held down by cost."""


class Gains(msgspec.Struct, frozen=True, kw_only=True):
    """LLMRouterBench's figures of a router's whole curve."""

    perf_gain: float | None
    """Best quality over that of the best single model, less 1."""
    cost_save: float | None
    """What is saved at the best single model's quality; null if never reached."""
    oracle_gap: float | None
    """What the best quality lacks of the oracle's, as a share."""
    pareto_distance: float | None
    """Mean distance of the hull's corners from the frontier of all routers and models."""


class CheapSingle(msgspec.Struct, frozen=True, kw_only=True):
    """The model that makes routing superfluous where it is good enough."""

    model: str
    quality: float
    cost_usd_per_1k: float
    quality_share: float
    """Of the best single model's."""
    recommended_at_its_cost: Significance
    """Quality of the recommended router for the same money, less this model's."""


class TaskCell(msgspec.Struct, frozen=True, kw_only=True):
    """One router on one task, at the value that cross-validation on all tasks chose."""

    quality: float
    cost_usd_per_1k: float | None
    aiq: float | None
    """Over the task's own range of costs."""


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """The test queries of one task."""

    n_test: int
    best_single: SingleModel
    """Of this task."""
    best_single_overall: float
    """Quality here of the model that is best on all tasks."""
    zero_router_aiq: float | None
    routers: dict[str, TaskCell]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Test queries that stand in what a router was trained on before it came here."""

    n: int
    n_unseen: int
    aiq_unseen: float | None
    max_quality_unseen: float | None
    apgr_unseen: float | None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """One group that training did not see."""

    n_train: int
    n_test: int
    zero_router_aiq: float | None
    results: dict[str, Significance]
    """Against the zero router read on the group, which knows what is good there."""
    over_trained: dict[str, Significance] = {}
    """Against the single models that training would mix by lot; none without costs."""


class LeaveOut(msgspec.Struct, frozen=True, kw_only=True):
    """Every group left out of training in turn, and tested on."""

    by: str
    """The column that names the groups."""
    groups: dict[str, LeftOut]
    never_worse: dict[str, bool]
    """By router: in no group significantly worse."""
    never_worse_than_trained: dict[str, bool] = {}
    """The same against the zero router of the training queries; none without costs."""
    skipped: dict[str, str]
    """Group or router -> why."""


class NewModelResult(msgspec.Struct, frozen=True, kw_only=True):
    """One router and one model that it met late; means over the draws of labels."""

    aiq_full: float
    """The model took part in training."""
    aiq_added: float
    """It was added with a few labels."""
    zero_router_aiq: float
    gain_kept: float | None
    """(added - zero) / (full - zero); null where full training gains nothing."""


class NewModels(msgspec.Struct, frozen=True, kw_only=True):
    """Models left out of training, each in turn, then added with a few labels."""

    n_labels: int
    n_draws: int
    models: dict[str, dict[str, NewModelResult]]
    """By model and router."""
    skipped: dict[str, str]


class CurveSize(msgspec.Struct, frozen=True, kw_only=True):
    """Trained on a part of the training queries."""

    n_train: int
    aiq: float | None
    apgr: float | None
    max_quality: float


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
    significance: dict[str, Significance] = {}
    """By router: AIQ against the zero router; without costs, quality against the best single model."""
    pair_significance: dict[str, Significance] = {}
    """By router: APGR against chance."""
    at_value: dict[str, AtValue] = {}
    """By router: at the value that its own cross-validation chose."""
    cheap_single: CheapSingle | None = None
    """The cheapest model with 95 % of the best single's quality, beside the recommended router."""
    gains: dict[str, Gains] = {}
    tasks: dict[str, TaskResult] = {}
    effort: dict[str, Effort] = {}
    seen: dict[str, Seen] = {}
    """By router that was trained before it came here."""
    leave_out: LeaveOut | None = None
    new_models: NewModels | None = None
    learning_curve: dict[str, tuple[CurveSize, ...]] = {}
    """By router, by growing share of the training queries."""
    robustness: dict[str, dict[str, float]] = {}
    """By router and kind of rewording: the share of unchanged choices; "all": on every kind at once."""
    seeds: tuple[SeedResult, ...] = ()
    """One per split where there are several; all other figures are then means over them."""
