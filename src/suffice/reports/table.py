"""A comparison as rows of text: one per router, then what they are compared with."""

from __future__ import annotations

from typing import Final

import msgspec

from suffice.evaluation import Comparison
from suffice.evaluation.comparison import RouterResult
from suffice.evaluation.figures import CostQuality, CurvePoint, PairResult, Significance, SingleModel
from suffice.evaluation.plan_figures import PlanResult
from suffice.metrics import cost_share, upper_hull

NONE: Final = "-"
"""Not known, or never reached."""

MARKS: Final = {"better": "▲", "within chance": "·", "worse": "▼"}
"""Of verdicts."""
_GAIN: Final = "gain"
_COST_COLUMNS: Final = ("AIQ", "95\u00a0% interval", "USD/1k", "cost at 100\u00a0%", "cost at 95\u00a0%")
_PAIR_COLUMNS: Final = ("APGR", "CPT 50\u00a0%", "CPT 80\u00a0%")


class ReportTable(msgspec.Struct, frozen=True, kw_only=True):
    """Text only; every row is as long as the head."""

    head: tuple[str, ...]
    routers: tuple[tuple[str, ...], ...]
    """By descending merit; plans that ask more than once among them."""
    baselines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    """What the columns mean and what was left out."""


def table(comparison: Comparison) -> ReportTable:
    """The columns that this comparison has figures for."""
    merits = [
        (_merit(result), _router_row(name, result, comparison.details.significance.get(name)))
        for name, result in comparison.routers.items()
    ]
    merits += [
        ((result.aiq, 0.0, result.max_quality), _plan_row(name, result))
        for name, result in comparison.plans.items()
    ]
    rows = [row for _, row in sorted(merits, key=lambda pair: pair[0], reverse=True)]
    others = _baseline_rows(comparison)
    hidden: set[str] = set()
    if comparison.cost_range_usd_per_1k is None:
        hidden |= set(_COST_COLUMNS)
    if comparison.details.pair is None:
        hidden |= set(_PAIR_COLUMNS)
    if not comparison.details.significance:
        hidden.add(_GAIN)
    head = tuple(name for name in rows[0] if name not in hidden)
    return ReportTable(
        head=head,
        routers=tuple(tuple(row[name] for name in head) for row in rows),
        baselines=tuple(tuple(row.get(name, NONE) for name in head) for row in others),
        notes=_notes(comparison),
    )


def _merit(result: RouterResult) -> tuple[float, float, float]:
    return result.aiq or 0.0, result.pair.apgr if result.pair else 0.0, result.max_quality


def _router_row(name: str, result: RouterResult, over: Significance | None) -> dict[str, str]:
    best = max(result.curve, key=_quality_then_cheapness)
    return {
        "router": name,
        "AIQ": number(result.aiq),
        "95\u00a0% interval": _interval(result.aiq_ci),
        _GAIN: NONE if over is None else gain(over),
        "quality": number(result.max_quality),
        "USD/1k": usd(best.cost_usd_per_1k),
        "cost at 100\u00a0%": share(result.cost_share_at_best_single),
        "cost at 95\u00a0%": share(result.cost_share_at_95pct),
        **_pair(result.pair),
        "fit s": f"{result.fit_s:.2f}",
        "decision µs": f"{result.decision_us:,.0f}",
    }


def _plan_row(name: str, result: PlanResult) -> dict[str, str]:
    best = max(result.curve, key=_quality_then_cheapness)
    return {
        "router": f"plan {name}",
        "AIQ": number(result.aiq),
        "95\u00a0% interval": _interval(result.aiq_ci),
        _GAIN: gain(result.over_zero_router),
        "quality": number(result.max_quality),
        "USD/1k": usd(best.cost_usd_per_1k),
        "cost at 100\u00a0%": share(result.cost_share_at_best_single),
        "cost at 95\u00a0%": share(result.cost_share_at_95pct),
        **_pair(None),
        "fit s": f"{result.fit_s:.2f}",
        "decision µs": NONE,
    }


def _quality_then_cheapness(point: CurvePoint | CostQuality) -> tuple[float, float]:
    return point.quality, -(point.cost_usd_per_1k or 0.0)


def _baseline_rows(comparison: Comparison) -> list[dict[str, str]]:
    base = comparison.baselines
    best, zero = base.best_single, base.zero_router
    means = comparison.details.task_means
    rows = [
        {
            "router": "Random",
            "quality": number(base.random.quality),
            "USD/1k": usd(base.random.cost_usd_per_1k),
            **(_pair(PairResult(apgr=0.5, cpt50=0.5, cpt80=0.8)) if comparison.details.pair else {}),
        },
        {
            "router": "Best single",
            "quality": number(best.quality),
            "USD/1k": usd(best.cost_usd_per_1k),
            "cost at 100\u00a0%": share(None if best.cost_usd_per_1k is None else 1.0),
        },
        {
            "router": "Zero router",
            "AIQ": number(zero.aiq),
            "quality": number(best.quality),
            "USD/1k": usd(best.cost_usd_per_1k),
            "cost at 100\u00a0%": share(_zero_share(zero.curve, best, 1.0)),
            "cost at 95\u00a0%": share(_zero_share(zero.curve, best, 0.95)),
        },
        {
            "router": "Oracle",
            "quality": number(base.oracle.quality),
            "USD/1k": usd(base.oracle.cost_usd_per_1k),
        },
    ]
    if zero.aiq is None:
        del rows[2]  # a mixture says nothing without costs
    if means is not None:
        rows.append({"router": "Task means*", "AIQ": number(means.aiq), **_pair(means.pair)})
    return rows


def _zero_share(curve: tuple[SingleModel, ...], best: SingleModel, share: float) -> float | None:
    costs = [model.cost_usd_per_1k for model in curve if model.cost_usd_per_1k is not None]
    if len(costs) < len(curve) or best.cost_usd_per_1k is None:
        return None
    hull = upper_hull(costs, [model.quality for model in curve])
    return cost_share(hull, min(best.quality, hull.qualities[-1]), share, best.cost_usd_per_1k)


def _pair(result: PairResult | None) -> dict[str, str]:
    if result is None:
        return dict.fromkeys(_PAIR_COLUMNS, NONE)
    return {
        "APGR": number(result.apgr),
        "CPT 50\u00a0%": share(result.cpt50),
        "CPT 80\u00a0%": share(result.cpt80),
    }


def _notes(comparison: Comparison) -> tuple[str, ...]:
    details = comparison.details
    notes = [f"Best single: {comparison.baselines.best_single.model}."]
    if comparison.cost_range_usd_per_1k is not None:
        low, high = comparison.cost_range_usd_per_1k
        notes.append(
            f"AIQ: mean quality over costs from {low:.3g} to {high:.3g} USD per 1,000 queries. Cost at "
            "100 % and 95 %: of the best single model's quality, as a share of its cost. Zero router: single "
            "models mixed by lot. Oracle: the cheapest of the best for every query."
        )
    against = {one.against for one in details.significance.values()}
    if against:
        is_aiq = against == {"zero router"}
        what = "AIQ above the zero router's" if is_aiq else "quality above the best single's"
        notes.append(
            f"Gain: {what}, on the same resampled queries; ▲ better, ▼ worse: 95 % of them agree; · within "
            "chance."
        )
    if details.pair is not None:
        strong, weak = details.pair
        notes.append(
            f"Pair {strong} over {weak}. APGR: share of the gap recovered, averaged over all shares of "
            "strong calls. CPT: share of strong calls that recovers 50 % and 80 %."
        )
    if details.task_means is not None:
        notes.append(
            "* Reads each query's task label, which no router does: every task scored by its training mean."
        )
    notes += [
        f"{name} was trained before on {seen.n:,} of these test queries: its figures flatter it."
        for name, seen in details.seen.items()
        if seen.n
    ]
    if details.seeds:
        notes.append(f"Means over {len(details.seeds)} splits; intervals are those of one split.")
    return tuple(notes)


def gain(found: Significance) -> str:
    """A difference with the mark of its verdict: "+0.013 ▲"."""
    return f"{found.gain:+.3f} {MARKS[found.verdict]}"


def number(value: float | None) -> str:
    """Three digits after the point."""
    return NONE if value is None else f"{value:.3f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return NONE if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def usd(value: float | None) -> str:
    """Three digits that count."""
    return NONE if value is None else f"{value:.3g}"


def share(value: float | None) -> str:
    """As a percentage."""
    return NONE if value is None else f"{100 * value:.1f} %"
