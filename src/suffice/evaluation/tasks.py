"""The comparison task by task, on the same routers: nothing is trained or chosen per task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from suffice.evaluation.baselines import per_1k, singles
from suffice.evaluation.details import TaskCell, TaskResult
from suffice.evaluation.ground import Ground
from suffice.evaluation.measuring import Measured
from suffice.evaluation.sweep import Sweep
from suffice.evaluation.truth import Truth
from suffice.metrics import aiq
from suffice.types import IntArray

_MAX_TASKS: Final = 60
"""Those with the most test queries; a table of more is read by nobody."""


def per_task(
    ground: Ground, measured: Mapping[str, Measured], values_usd: Mapping[str, float | None]
) -> dict[str, TaskResult]:
    """Every task of the test queries; none where they name fewer than two.

    Parameters
    ----------
    measured : by router, on all test queries
    values_usd : by router: the value of a right answer that its cross-validation chose
    """
    tasks = np.array([task or "" for task in ground.test.tasks], dtype=object)
    names, counts = np.unique(tasks[tasks != ""].astype(str), return_counts=True)
    if len(names) < 2:
        return {}
    largest = sorted(names[np.argsort(-counts, kind="stable")][:_MAX_TASKS].tolist())
    best = ground.truth.best_single
    found = {}
    for task in largest:
        rows = np.flatnonzero(tasks == task)
        truth = ground.truth_of_rows(rows)
        span = truth.cost_range()
        found[task] = TaskResult(
            n_test=len(rows),
            best_single=singles(truth)[0],
            best_single_overall=float(truth.mean_quality[best]),
            zero_router_aiq=None if span is None else aiq(truth.mean_cost, truth.mean_quality, *span),
            routers={name: _cell(truth, one.curve, rows, values_usd[name]) for name, one in measured.items()},
        )
    return found


def _cell(truth: Truth, curve: Sweep, rows: IntArray, value_usd: float | None) -> TaskCell:
    chosen = curve.chosen[:, rows]
    quality = truth.quality_of(chosen).mean(axis=1)
    cost = truth.cost_of(chosen).mean(axis=1)
    at = point_at(curve, value_usd)
    span = truth.cost_range()
    return TaskCell(
        quality=float(quality[at]),
        cost_usd_per_1k=per_1k(float(cost[at])),
        aiq=None if span is None else aiq(cost, quality, *span),
    )


def point_at(curve: Sweep, value_usd: float | None) -> int:
    """The curve's point at a value; None is the last, where only quality counts."""
    return (
        len(curve.values_usd) - 1 if value_usd is None else int(np.argmin(abs(curve.values_usd - value_usd)))
    )
