"""What `suffice evaluate --plans` reports of a plan.

All that is said of shares, costs and null in `suffice.evaluation.comparison` holds here too.
"""

from __future__ import annotations

import msgspec

from suffice.evaluation.figures import CostQuality, Significance


class PlanUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan did per query where a right answer is worth `value_usd`; means over the test queries."""

    value_usd: float
    """That which cross-validation chose for the recommended router."""
    quality: float
    cost_usd_per_1k: float
    """Of everything that was asked."""
    beside_usd_per_1k: float
    """Of that, what verifications and samples about answers cost."""
    n_answers: float
    """Models asked for an answer; samples that are voted on are answers."""
    n_beside: float
    """Further calls, about answers."""
    n_tokens: float | None
    """Prompt and completion of every call; null where some are not known."""
    latency_s: float | None
    """Calls that run side by side take the time of the slowest; null where some are not known."""


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """One plan on the test queries, in every setting that it was fitted for."""

    aiq: float
    """Over the same range of costs as the routers'."""
    aiq_ci: tuple[float, float]
    max_quality: float
    cost_share_at_best_single: float | None
    cost_share_at_95pct: float | None
    curve: tuple[CostQuality, ...]
    over_zero_router: Significance
    """AIQ less that of the zero router, paired."""
    over_router: Significance
    """AIQ less that of the recommended router, paired."""
    at_value: PlanUse
    models: tuple[str, ...]
    """That may be asked; of a chain, in its order."""
    signals: tuple[str, ...]
    """Read from answers; "scorer" is learnt from the training queries' answers."""
    fit_s: float
