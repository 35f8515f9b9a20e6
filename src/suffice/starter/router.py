"""A first router for a panel without outcomes of its own, trained on the recorded panel.

Router and value come from cross-validation on those recorded questions: at the least cost, 95 % of what the
best single candidate gets right. Where that saves nothing, the value at which routing gains most over mixing
the candidates at random.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from suffice import routers
from suffice.catalogue import Catalogue
from suffice.datasets.panel import load_outcomes
from suffice.evaluation.measuring import Measured
from suffice.evaluation.recommend import Predictions, best_router
from suffice.metrics import hull_at, upper_hull
from suffice.outcomes import Outcomes
from suffice.starter.panel import Panel
from suffice.types import FloatArray, Price

RECIPE: Final = 2
"""Of what `train` makes; kept routers of another recipe are made anew."""
CHOICES: Final = ("knn", "ridge")
_FOLDS: Final = 5
_SUFFICES: Final = 0.95
"""Of the right answers of the best single candidate."""
_TRIVIAL: Final = 0.95
"""Where one candidate gets a larger share than this, there is no routing to speak of."""


class Starter(msgspec.Struct, frozen=True, kw_only=True):
    """What was trained, and why it is set as it is."""

    router: str
    value_usd: float
    why: str
    """Of the value, in words."""
    n_queries: int
    quality: float
    """Of the routed answers, cross-validated on the recorded questions."""
    cost_share: float
    """Their cost as a share of always asking the best single candidate."""
    best_single: str
    best_quality: float


def train(panel: Panel, directory: Path, *, outcomes: Outcomes | None = None, speed: float = 1.0) -> Starter:
    """Choose, train and save a router with its cost and latency models.

    Parameters
    ----------
    panel : with at least two entries that name a recorded candidate
    directory : gets `router.json`, `arrays.npz`, `costs.json` and `latencies.json`
    outcomes : recorded ones by recorded candidate; None takes the recorded panel
    speed : how many times longer a core works here than where the panel was recorded
    """
    prices = _prices(panel)
    table = _renamed(load_outcomes() if outcomes is None else outcomes, panel.arms)
    if panel.kind == "remote":
        table = table.with_prices(prices)
    else:
        table = replace(table, cost_usd=table.cost_usd * speed, latency_s=table.latency_s * speed)
    validated = Predictions(table, costs=True, pair=None, n_folds=_FOLDS, embedder=None, seed=0)
    measured = {name: validated.measure(name) for name in CHOICES}
    found = [_sufficing(name, one, table) for name, one in measured.items()]
    sufficing = [one for one in found if one is not None]
    best = best_router(measured)
    starter = (
        min(sufficing, key=lambda one: one.cost_share) if sufficing else _gaining(best, measured[best], table)
    )
    router = routers.create(starter.router).fit(table)
    router.save(directory, trained_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    routers.fit_cost_model(table, prices if panel.kind == "remote" else None).save(directory)
    latencies = (
        routers.prior_latency_model(table.arms)  # those of small models on a CPU say nothing of others
        if panel.kind == "remote"
        else routers.fit_latency_model(table)
    )
    latencies.save(directory)
    return starter


def recording_digest() -> str:
    """Of the recorded panel's file: another recording, another router."""
    data = (files("suffice.datasets") / "panel.parquet").read_bytes()
    return hashlib.sha256(data).hexdigest()[:16]


def _prices(panel: Panel) -> Mapping[str, Price]:
    catalogue = Catalogue.load()
    return {
        entry.name: catalogue.candidate(
            entry.name,
            entry.provider,
            entry.model,
            input_usd_per_mtok=entry.input_usd_per_mtok,
            output_usd_per_mtok=entry.output_usd_per_mtok,
            usd_per_cpu_hour=entry.usd_per_cpu_hour,
        ).price
        for entry in panel.entries
    }


def _renamed(outcomes: Outcomes, arms: Mapping[str, str]) -> Outcomes:
    """The recorded candidates under the names of the panel's."""
    return replace(outcomes.select(arms=tuple(arms.values())), arms=tuple(arms))


def _sufficing(name: str, measured: Measured, table: Outcomes) -> Starter | None:
    """Where 95 % of the best single candidate's quality costs least; None where that saves nothing."""
    curve, (quality, cost) = measured.curve, _singles(table)
    best = int(np.argmax(quality))
    is_enough = (curve.quality >= _SUFFICES * quality[best]) & np.isfinite(curve.values_usd)
    at = int(np.argmin(np.where(is_enough, curve.cost_usd, np.inf)))
    is_trivial = np.bincount(curve.chosen[at]).max() > _TRIVIAL * curve.chosen.shape[1]
    if is_trivial or not is_enough[at] or curve.cost_usd[at] >= cost[best]:
        return None
    rule = f"the cheapest that keeps {_SUFFICES:.0%} of the right answers of {{}}"
    return _described(name, measured, table, at, rule)


def _gaining(name: str, measured: Measured, table: Outcomes) -> Starter:
    """Where the curve lies highest above the hull of the single candidates."""
    curve, (quality, cost) = measured.curve, _singles(table)
    hull = hull_at(upper_hull(cost, quality), np.maximum(curve.cost_usd, cost.min()))
    gain = curve.quality - hull
    gain[~np.isfinite(curve.values_usd) | (curve.values_usd == 0)] = -np.inf
    rule = "where routing gains most over asking {} or mixing at random"
    return _described(name, measured, table, int(np.argmax(gain)), rule)


def _described(name: str, measured: Measured, table: Outcomes, at: int, rule: str) -> Starter:
    """A router at one of its values, with what cross-validation says of it."""
    curve, (quality, cost) = measured.curve, _singles(table)
    best = int(np.argmax(quality))
    share = float(curve.cost_usd[at] / cost[best])
    return Starter(
        router=name,
        value_usd=float(f"{curve.values_usd[at]:.2g}"),
        why=f"{rule.format(table.arms[best])}: {curve.quality[at]:.1%} of the recorded questions, against "
        f"{quality[best]:.1%}, at {share:.0%} of its cost (cross-validated)",
        n_queries=table.n_queries,
        quality=float(curve.quality[at]),
        cost_share=share,
        best_single=table.arms[best],
        best_quality=float(quality[best]),
    )


def _singles(table: Outcomes) -> tuple[FloatArray, FloatArray]:
    """(K,) mean quality and (K,) mean cost of every candidate, where all are known."""
    known = ~np.isnan(table.quality).any(axis=1) & ~np.isnan(table.cost_usd).any(axis=1)
    return table.quality[known].mean(axis=0), table.cost_usd[known].mean(axis=0)
