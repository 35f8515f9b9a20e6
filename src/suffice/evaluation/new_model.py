"""A model that joins late: left out of training, then added with a few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from suffice.errors import ConfigError
from suffice.evaluation.details import NewModelResult, NewModels
from suffice.evaluation.ground import Ground
from suffice.evaluation.sweep import aiq_of, sweep
from suffice.evaluation.trials import Failed, Trial, Tried, label_rows
from suffice.metrics import aiq
from suffice.outcomes import Outcomes
from suffice.types import FloatArray

_N_DRAWS: Final = 3
Key = tuple[str, str]
"""(model, router)"""


def plan(
    ground: Ground, models: Sequence[str], routers: Sequence[str], n_labels: int, *, seed: int
) -> dict[Key, Trial]:
    """One training per model and router.

    Raises
    ------
    ConfigError
        If a model is not compared, fewer than two others are left, costs are not known, or there are
        no labels.
    """
    unknown = [model for model in models if model not in ground.train.arms]
    if unknown:
        raise ConfigError(f"--new-model {', '.join(unknown)}: not among {', '.join(ground.train.arms)}")
    if models and (ground.costs is None or ground.train.n_arms < 3 or n_labels < 1):
        raise ConfigError("--new-model needs costs, three models or more, and one label or more (--labels)")
    return {
        (model, router): Trial(
            router=router,
            seed=seed,
            new_model=model,
            n_labels=n_labels,
            n_draws=_N_DRAWS,
            step=f"{model} is new",
        )
        for model in models
        for router in routers
    }


def result(
    ground: Ground, found: Mapping[Key, Tried | Failed], full: Mapping[str, float | None], n_labels: int
) -> NewModels:
    """What each router keeps of its gain over the zero router.

    Parameters
    ----------
    found : by (model, router)
    full : by router: AIQ with all models in training
    """
    span = ground.truth.cost_range()
    assert span is not None
    zero = aiq(ground.truth.mean_cost, ground.truth.mean_quality, *span)
    models: dict[str, dict[str, NewModelResult]] = {}
    skipped = {}
    for (model, router), one in found.items():
        whole = full.get(router)
        if isinstance(one, Failed):
            skipped[f"{router}, {model}"] = one.message
        elif whole is not None:
            drawn = [_aiq(ground, model, n_labels, draw, scores) for draw, scores in enumerate(one.added)]
            added = float(np.mean(drawn))
            models.setdefault(model, {})[router] = NewModelResult(
                aiq_full=whole,
                aiq_added=added,
                zero_router_aiq=zero,
                gain_kept=(added - zero) / (whole - zero) if whole > zero else None,
            )
    return NewModels(n_labels=n_labels, n_draws=_N_DRAWS, models=models, skipped=skipped)


def _aiq(ground: Ground, model: str, n_labels: int, draw: int, scores: FloatArray) -> float:
    """With costs of the new model that are known on the labelled queries only."""
    train = _as_if_new(ground.train, model, n_labels, draw)
    found = aiq_of(ground.truth, sweep(ground.truth, scores, ground.costs_learnt_from(train)))
    assert found is not None
    return found


def _as_if_new(train: Outcomes, model: str, n_labels: int, draw: int) -> Outcomes:
    """Nothing is known of the model but on the labelled queries."""
    column = train.arms.index(model)
    hidden = np.ones(train.n_queries, dtype=bool)
    hidden[label_rows(train, model, n_labels, draw)] = False
    masked = {}
    for name in ("cost_usd", "prompt_tokens", "completion_tokens", "latency_s"):
        values = getattr(train, name).copy()
        values[hidden, column] = np.nan
        masked[name] = values
    return replace(train, **masked)
