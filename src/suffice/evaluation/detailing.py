"""From what routers did to the details of the report: chance, tasks, gains, effort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from suffice.evaluation.baselines import baselines, per_1k, singles
from suffice.evaluation.comparison import Recommendation
from suffice.evaluation.details import AtValue, CheapSingle, Details, Gains, Seen, TaskMeans
from suffice.evaluation.entries import Entry
from suffice.evaluation.ground import Ground
from suffice.evaluation.leaks import n_seen
from suffice.evaluation.measuring import measure
from suffice.evaluation.recommend import cross_validated
from suffice.evaluation.significance import Drawn, Resampled
from suffice.evaluation.sweep import Sweep
from suffice.evaluation.task_means import task_mean_scores
from suffice.evaluation.tasks import per_task, point_at
from suffice.evaluation.truth import Truth
from suffice.metrics import arena_score, cost_save, oracle_gap, pareto_distance, perf_gain, upper_hull
from suffice.types import FloatArray

GOOD_ENOUGH: Final = 0.95
"""Of the best single model's quality: a cheaper model that has it may make routing superfluous."""


def details_of(
    ground: Ground, entries: Mapping[str, Entry], recommended: Recommendation, resampled: Resampled
) -> Details:
    """Everything but what was asked for beside the comparison."""
    best = entries[recommended.router]
    values = {name: entry.value_usd for name, entry in entries.items()}
    paired = {
        name: resampled.over_chance(entry.tried.scores, ground.pair)
        for name, entry in entries.items()
        if ground.pair is not None
    }
    return Details(
        singles=singles(ground.truth),
        models_left_out=ground.models_left_out,
        n_test_left_out=ground.n_test_left_out,
        n_test_seen=n_seen(ground.train, ground.test),
        pair=ground.pair,
        task_means=_task_means(ground),
        cross_validation={name: cross_validated(one.validated) for name, one in entries.items()},
        significance={
            name: resampled.primary(one.measured.curve, one.drawn) for name, one in entries.items()
        },
        pair_significance={name: one for name, one in paired.items() if one is not None},
        at_value={
            name: at_value(ground.truth, one.measured.curve, one.value_usd) for name, one in entries.items()
        },
        cheap_single=cheap_single(resampled, best.measured.curve, best.drawn),
        gains=_gains(ground.truth, entries),
        tasks=per_task(ground, {name: one.measured for name, one in entries.items()}, values),
        effort={name: one.tried.effort for name, one in entries.items() if one.tried.effort is not None},
        seen={name: _seen(ground, one) for name, one in entries.items() if one.tried.seen is not None},
    )


def _task_means(ground: Ground) -> TaskMeans | None:
    scores = task_mean_scores(ground.train, ground.test)
    if scores is None:
        return None
    measured = measure(ground.truth, scores, ground.costs, ground.pair)
    return TaskMeans(aiq=measured.aiq, pair=measured.pair)


def at_value(truth: Truth, curve: Sweep, value_usd: float | None) -> AtValue:
    """A curve's point at a value, beside the best single model."""
    at = point_at(curve, value_usd)
    quality, cost = float(curve.quality[at]), per_1k(float(curve.cost_usd[at]))
    best, span = float(truth.mean_quality[truth.best_single]), truth.cost_range()
    return AtValue(
        value_usd=value_usd,
        quality=quality,
        cost_usd_per_1k=cost,
        quality_share=quality / best if best > 0 else None,
        cost_share=cost / (1000 * span[1]) if cost is not None and span is not None and span[1] > 0 else None,
        arena_score=None if cost is None else arena_score(min(quality, 1.0), cost),
    )


def cheap_single(resampled: Resampled, curve: Sweep, drawn: Drawn | None) -> CheapSingle | None:
    """The cheapest model that is good enough, and a curve at its cost; None without costs."""
    truth = resampled.truth
    if drawn is None:
        return None
    quality, cost = truth.mean_quality, truth.mean_cost
    best = float(quality[truth.best_single])
    good = np.flatnonzero(quality >= GOOD_ENOUGH * best - 1e-12)
    model = int(good[np.lexsort((-quality[good], cost[good]))[0]])
    return CheapSingle(
        model=truth.models[model],
        quality=float(quality[model]),
        cost_usd_per_1k=1000 * float(cost[model]),
        quality_share=float(quality[model]) / best if best > 0 else 1.0,
        recommended_at_its_cost=resampled.at_cost_of(truth.models[model], curve, drawn),
    )


def _gains(truth: Truth, entries: Mapping[str, Entry]) -> dict[str, Gains]:
    best, oracle = float(truth.mean_quality[truth.best_single]), baselines(truth).oracle.quality
    span = truth.cost_range()
    frontier = None if span is None else _frontier(truth, entries)
    found = {}
    for name, entry in entries.items():
        curve = entry.measured.curve
        top = float(curve.quality.max())
        saved = distance = None
        if span is not None and frontier is not None:
            hull = upper_hull(curve.cost_usd, curve.quality)
            saved = cost_save(hull, best, span[1])
            distance = pareto_distance(np.column_stack(hull), frontier)
        found[name] = Gains(
            perf_gain=perf_gain(top, best),
            cost_save=saved,
            oracle_gap=oracle_gap(top, oracle),
            pareto_distance=distance,
        )
    return found


def _frontier(truth: Truth, entries: Mapping[str, Entry]) -> FloatArray:
    """(m, 2): the hull of all curves and single models."""
    curves = [entry.measured.curve for entry in entries.values()]
    costs = np.concatenate([truth.mean_cost, *(curve.cost_usd for curve in curves)])
    qualities = np.concatenate([truth.mean_quality, *(curve.quality for curve in curves)])
    return np.column_stack(upper_hull(costs, qualities))


def _seen(ground: Ground, entry: Entry) -> Seen:
    """The router's figures on the queries that it had not met before."""
    assert entry.tried.seen is not None
    rows = np.flatnonzero(~entry.tried.seen)
    n_seen_before = int(entry.tried.seen.sum())
    if not len(rows):
        return Seen(n=n_seen_before, n_unseen=0, aiq_unseen=None, max_quality_unseen=None, apgr_unseen=None)
    costs = None if ground.costs is None else ground.costs[rows]
    measured = measure(ground.truth_of_rows(rows), entry.tried.scores[rows], costs, ground.pair)
    return Seen(
        n=n_seen_before,
        n_unseen=len(rows),
        aiq_unseen=measured.aiq,
        max_quality_unseen=float(measured.curve.quality.max()),
        apgr_unseen=None if measured.pair is None else measured.pair.apgr,
    )
