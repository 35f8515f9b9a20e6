"""Which models are compared, on which queries, and which two are the pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from suffice.errors import ConfigError, DataError
from suffice.evaluation.truth import Truth
from suffice.outcomes import Outcomes
from suffice.routers.base import arm_means
from suffice.types import BoolArray, FloatArray

MIN_KNOWN: Final = 0.95
"""Share of training queries on which a model needs a score (and a cost) to be compared unasked."""


def has_costs(train: Outcomes, models: Sequence[str] | None = None) -> bool:
    """Whether the training data know any cost of these models (all where None)."""
    arms = train if models is None else train.select(arms=models)
    return bool((~np.isnan(arms.cost_usd)).any())


def select_models(train: Outcomes, wanted: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """The models to compare.

    Parameters
    ----------
    train : the training data, with all their models
    wanted : the user's choice; None takes every model known well enough

    Returns
    -------
    models, in the order of the data or of `wanted`
    dict of those left out, and why

    Raises
    ------
    ConfigError
        If a wanted model has no score, or no cost where others have one, or one is wanted twice.
    DataError
        If a wanted model is not in the data, or no model is left.
    """
    if wanted is not None:
        return _wanted(train, wanted), {}
    score = _share_known(train.quality)
    cost = _share_known(train.cost_usd) if has_costs(train) else np.ones(train.n_arms)
    left_out = {
        arm: _why_not(score[k], cost[k])
        for k, arm in enumerate(train.arms)
        if min(score[k], cost[k]) < MIN_KNOWN
    }
    models = tuple(arm for arm in train.arms if arm not in left_out)
    if not models:
        raise DataError(
            f"none of {train.n_arms} models has a score and a cost on {MIN_KNOWN:.0%} of the training "
            "queries: name some with --models, or give the missing costs with --prices"
        )
    return models, left_out


def _wanted(train: Outcomes, wanted: Sequence[str]) -> tuple[str, ...]:
    if len(set(wanted)) < len(wanted) or not wanted:
        raise ConfigError(f"models {', '.join(wanted) or '(none)'}: name each once, and at least one")
    for model in wanted:
        if model not in train.arms:
            raise _not_there(model, train)
    chosen = train.select(arms=wanted)
    for what, values in (("score", chosen.quality), ("cost", chosen.cost_usd)):
        share = _share_known(values)
        without = [model for model, known in zip(wanted, share, strict=True) if not known]
        if without and (what == "score" or len(without) < len(wanted)):
            raise ConfigError(
                f"no {what} is known for {', '.join(without)} in the training data: leave them out of "
                "--models" + (", or give their prices with --prices" if what == "cost" else "")
            )
    return tuple(wanted)


def _not_there(model: str, train: Outcomes) -> DataError:
    return DataError(f"the model {model!r} is not in the data; known: {', '.join(train.arms)}")


def _share_known(values: FloatArray) -> FloatArray:
    """(K,): the share of queries on which each arm's value is known; 0 for an empty table."""
    known: FloatArray = (~np.isnan(values)).sum(axis=0) / max(1, len(values))
    return known


def _why_not(score: float, cost: float) -> str:
    what, share = ("score", score) if score < MIN_KNOWN else ("cost", cost)
    return f"{what} on {share:.1%} of the training queries, {MIN_KNOWN:.0%} is needed"


def is_complete(outcomes: Outcomes, *, costs: bool) -> BoolArray:
    """(n,): whether every arm's score, and cost where asked for, is known."""
    complete = ~np.isnan(outcomes.quality).any(axis=1)
    if costs:
        complete &= ~np.isnan(outcomes.cost_usd).any(axis=1)
    return np.asarray(complete)


def truth_of(outcomes: Outcomes, *, costs: bool) -> Truth:
    """What the arms of complete queries did."""
    return Truth(
        models=outcomes.arms, quality=outcomes.quality, cost_usd=outcomes.cost_usd if costs else None
    )


def select_pair(train: Outcomes, wanted: tuple[str, str] | None) -> tuple[str, str] | None:
    """(strong, weak): the user's, or of two models the one of higher training quality and the other.

    Raises
    ------
    DataError
        If a wanted model is not compared.
    ConfigError
        If both are the same.
    """
    if wanted is not None:
        for model in wanted:
            if model not in train.arms:
                raise _not_there(model, train)
        if wanted[0] == wanted[1]:
            raise ConfigError(f"the pair is {wanted[0]} twice: name a strong and a weak model")
        return wanted
    if train.n_arms != 2:
        return None
    quality, cost = arm_means(train.quality), np.nan_to_num(arm_means(train.cost_usd))
    strong = max((0, 1), key=lambda k: (quality[k], cost[k]))
    return train.arms[strong], train.arms[1 - strong]
