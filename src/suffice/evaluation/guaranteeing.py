"""A promise about one router (or one column of scores) on recorded answers of two models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from suffice.calibration.guarantee import gain_score
from suffice.errors import DataError, UnknownModel
from suffice.evaluation.fitting import scores_of
from suffice.outcomes import Outcomes
from suffice.protocols import Router
from suffice.types import FloatArray

GAIN_GRID: Final = tuple(round(1 - 0.001 * step, 3) for step in range(1, 1000))
"""For `gain_scores`: cuts of the gain from -0.998 to 0.998 in steps of 0.002."""


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold did on other rows."""

    drop: float
    """Mean quality of the strong model less that of the rule."""
    weak_share: float
    cost_saved: float | None
    """Share of the strong model's cost; None where costs are unknown."""


def pair(outcomes: Outcomes, strong: str, weak: str) -> Outcomes:
    """Queries for which both models' quality is known, arms (strong, weak).

    Raises
    ------
    UnknownModel
        If the table has no such model.
    DataError
        If strong and weak are the same, or no query has both.
    """
    if strong == weak:
        raise DataError(f"strong and weak are both {strong!r}: give two models")
    for name in (strong, weak):
        if name not in outcomes.arms:
            raise UnknownModel(name, outcomes.arms)
    both = outcomes.select(arms=[strong, weak])
    known = np.flatnonzero(~np.isnan(both.quality).any(axis=1))
    if not len(known):
        raise DataError(f"no query has a score of both {strong!r} and {weak!r}: at least one is needed")
    return both.select(rows=known)


def gain_scores(router: Router, rows: Outcomes) -> FloatArray:
    """(n,) in [0, 1]: `gain_score`; a threshold t of it is the gain 1 - 2 t of the policy `threshold`.

    Parameters
    ----------
    rows : of `pair`
    """
    for name in rows.arms:
        if name not in router.arms:
            raise UnknownModel(name, router.arms)
    scores = scores_of(router, rows.queries, rows.arms)
    return gain_score(scores[:, 1], scores[:, 0])


def column_scores(rows: Outcomes, values: Mapping[str, float]) -> FloatArray:
    """(n,) of a column by query id.

    Raises
    ------
    DataError
        If a query has none.
    """
    missing = [name for name in rows.ids if name not in values]
    if missing:
        raise DataError(f"{len(missing)} queries have no score in that column (such as {missing[0]!r})")
    return np.array([values[name] for name in rows.ids])


def tested(rows: Outcomes, score: FloatArray, threshold: float | None) -> Tested:
    """The threshold on rows of `pair`; None sends all to the strong model."""
    is_weak = np.zeros(len(score), dtype=bool) if threshold is None else score >= threshold
    strong_cost, weak_cost = rows.cost_usd.T
    paid, all_strong = float(np.where(is_weak, weak_cost, strong_cost).sum()), float(strong_cost.sum())
    is_known = not np.isnan(rows.cost_usd).any() and all_strong > 0
    return Tested(
        drop=float(np.mean(is_weak * (rows.quality[:, 0] - rows.quality[:, 1]))),
        weak_share=float(is_weak.mean()),
        cost_saved=1 - paid / all_strong if is_known else None,
    )
