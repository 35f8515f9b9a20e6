"""Settings of one plan on recorded answers: what each brought, query by query, and what it asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from suffice.cascades import Cascade, Played, signals_of
from suffice.evaluation.cascading import Curve
from suffice.evaluation.plan_figures import PlanUse
from suffice.evaluation.planned.data import PlanData
from suffice.types import FloatArray


class Spent(NamedTuple):
    """By query, (n,) each; NaN is unknown."""

    beside_usd: FloatArray
    n_answers: FloatArray
    n_beside: FloatArray
    n_tokens: FloatArray
    latency_s: FloatArray


class Way(NamedTuple):
    """A plan, fitted."""

    curve: Curve
    """Every setting."""
    quality: FloatArray
    """(n,): of the setting for the recommended value."""
    cost_usd: FloatArray
    spent: Spent
    models: tuple[str, ...]
    signals: tuple[str, ...] = ()


class CannotRun(Exception):
    """What the file lacks for a plan."""


def spent_by(cascade: Cascade, played: Played, data: PlanData) -> Spent:
    """What a cascade asked for; `data` has its arms in its order."""
    asked = played.asked
    n = len(asked)
    beside_usd, n_beside, n_tokens = np.zeros(n), np.zeros(n), where_asked(asked, data.n_tokens)
    for arm in range(asked.shape[1]):
        who = asked[:, arm]
        for name in signals_of(cascade, arm):
            beside_usd[who] += data.recorded.reading_cost_usd[name][who, arm]
            if name in data.beside_calls:
                n_beside[who] += data.beside_calls[name][who, arm]
                n_tokens[who] += data.beside_tokens[name][who, arm]
    return Spent(beside_usd, asked.sum(axis=1).astype(np.float64), n_beside, n_tokens, played.latency_s)


def where_asked(asked: FloatArray | np.ndarray, values: FloatArray) -> FloatArray:
    """(n,): the sum over those asked; one that is unknown and was not asked does no harm."""
    return np.asarray(np.where(asked, values, 0.0).sum(axis=1))


def use_of(way: Way, value_usd: float) -> PlanUse:
    """Means over the queries."""
    spent = way.spent
    return PlanUse(
        value_usd=value_usd,
        quality=float(way.quality.mean()),
        cost_usd_per_1k=1000 * float(way.cost_usd.mean()),
        beside_usd_per_1k=1000 * float(spent.beside_usd.mean()),
        n_answers=float(spent.n_answers.mean()),
        n_beside=float(spent.n_beside.mean()),
        n_tokens=_known(spent.n_tokens),
        latency_s=_known(spent.latency_s),
    )


def way_of(
    cascade: Cascade, settings: Sequence[Played], at_value: Played, data: PlanData, signals: Sequence[str]
) -> Way:
    """Of a cascade in several settings and at the recommended value."""
    return Way(
        curve=Curve.of([*settings, at_value]),
        quality=at_value.quality,
        cost_usd=at_value.cost_usd,
        spent=spent_by(cascade, at_value, data),
        models=cascade.arms,
        signals=tuple(signals),
    )


def _known(values: FloatArray) -> float | None:
    mean = float(values.mean())
    return None if np.isnan(mean) else mean
