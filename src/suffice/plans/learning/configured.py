"""From `policy: {name: pilot, ...}` to the policy and what teaches it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from suffice import _yaml, bandits
from suffice.errors import ConfigError
from suffice.plans.learning.deeds import Deeds
from suffice.plans.learning.kept import Shelf
from suffice.plans.learning.learner import Learner
from suffice.plans.learning.pace import DAY_S, Pace
from suffice.plans.learning.policy import Online
from suffice.plans.learning.rater import Rater
from suffice.plans.learning.rewards import Fairness
from suffice.plans.learning.sight import Sight
from suffice.protocols import Embedder
from suffice.types import DEEDS, SHARES, Candidate

_CAREFUL: Final = {"ridge": 10.0, "floor": 0.01, "lease_s": 3600.0, "alpha": 0.1}
"""Of a bandit on live traffic, where the configuration says nothing and it has such a parameter."""
_BY_LOT: Final = 0.05
"""Of all requests, at most, where the floor is not set: a large panel must not be asked by lot alone."""


class LearningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands beside the policy's name; all else are the bandit's parameters."""

    path: str | None = None
    """Directory in which what was learnt is kept; None learns it from the store's records at every start."""
    value_usd: Annotated[float, Meta(gt=0)] | None = None
    """What a reward of 1 is worth, USD per query; 0.02 without a budget."""
    budget_usd_per_day: Annotated[float, Meta(gt=0)] | None = None
    pacing: str = "resolve"
    burn_in: Annotated[int, Meta(ge=0)] = 30
    """Answers of a new candidate until it has only the chances that it deserves."""
    burn_in_share: Annotated[float, Meta(gt=0, le=0.5)] = 0.1
    feedback_days: Annotated[float, Meta(gt=0)] = 7.0
    """Feedback on older answers is ignored."""
    most_per_user: Annotated[int, Meta(ge=1)] = 100
    """Rewards of one user in a day."""
    user_share: Annotated[float, Meta(gt=0, le=1)] = 0.25
    """And as a part of all rewards of the day."""
    metrics: dict[str, tuple[float, float]] = {}
    """By name of a metric of your own: its worst and its best value."""
    regenerate_s: Annotated[float, Meta(ge=0)] = 60.0
    """The same messages again within that time speak against an answer; 0 looks for none."""
    judge: str | None = None
    """The candidate that rates answers."""
    judge_against: str | None = None
    """The candidate beside whose answer they are judged, in both orders; None rates each alone."""
    judge_share: Annotated[float, Meta(ge=0, le=1)] = 0.05
    """Of answers that are rated."""
    judge_usd_per_day: Annotated[float, Meta(gt=0)] = 1.0
    save_s: Annotated[float, Meta(gt=0)] = 60.0


def configured(
    name: str,
    params: Mapping[str, Any],
    path: Callable[[str], Path],
    *,
    pipeline: str,
    arms: Sequence[str],
    candidates: Sequence[Candidate],
    embedder: Embedder,
) -> Learner:
    """The policy that has learnt nothing, and its learner, to be opened on a store.

    Parameters
    ----------
    name : of a bandit
    path : of a file that the configuration names
    arms : what the pipeline scores
    candidates : the panel

    Raises
    ------
    ConfigError
        If a parameter is wrong, or no price is known that a budget could be kept with.
    """
    settings, own = _split(name, params)
    _check(name, settings, arms, candidates)
    known = inspect.signature(bandits.get(name)).parameters
    careful = {key: value for key, value in _CAREFUL.items() if key in known and key not in own}
    if "floor" in careful:
        careful["floor"] = min(careful["floor"], _BY_LOT / len(arms))
    sight = Sight(embedder)
    bandit = bandits.create(name, arms, sight.d, **careful, **own)
    pace = None
    if settings.budget_usd_per_day is not None:
        pace = Pace(settings.pacing, settings.budget_usd_per_day)
    value_usd = 0.02 if settings.value_usd is None else settings.value_usd
    policy = Online(pipeline, arms, bandit, sight, value_usd=value_usd, pace=pace)
    about = f"{name} ({', '.join(f'{key} {value}' for key, value in sorted(own.items()))}) on {sight.name}"
    return Learner(
        policy,
        shelf=None if settings.path is None else Shelf(path(settings.path), about.replace(" ()", "")),
        fairness=Fairness(most_per_user=settings.most_per_user, user_share=settings.user_share),
        ranges=settings.metrics,
        feedback_s=settings.feedback_days * DAY_S,
        burn_in=(settings.burn_in, settings.burn_in_share),
        save_s=settings.save_s,
        deeds=Deeds(settings.regenerate_s) if settings.regenerate_s else None,
        rater=None
        if settings.judge is None
        else Rater(
            settings.judge,
            share=settings.judge_share,
            usd_per_day=settings.judge_usd_per_day,
            against=settings.judge_against,
        ),
    )


def check_params(name: str, params: Mapping[str, Any]) -> None:
    """Raises a ConfigError where a bandit's policy does not take them; nothing is said of other names."""
    if name in bandits.available():
        _split(name, params)


def _split(name: str, params: Mapping[str, Any]) -> tuple[LearningSettings, dict[str, Any]]:
    """The settings, and the bandit's own parameters."""
    fields = LearningSettings.__struct_fields__
    given = {key: value for key, value in params.items() if key in fields}
    own = {key: value for key, value in params.items() if key not in fields}
    bandits.registry.check(name, own, hidden=("arms", "d"))
    try:
        return msgspec.convert(given, LearningSettings, strict=True), own
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$.")
        path = at.removesuffix("`")
        shown = {key: value for key, value in given.items() if not isinstance(value, str)}  # may be a secret
        raise ConfigError(f"{name}: {path}: {_yaml.explained(what, f'$.{path}', shown)}") from None


def _check(
    name: str, settings: LearningSettings, arms: Sequence[str], candidates: Sequence[Candidate]
) -> None:
    if settings.value_usd is not None and settings.budget_usd_per_day is not None:
        raise ConfigError(f"{name}: value_usd and budget_usd_per_day both set a price; leave one out")
    names = [one.name for one in candidates]
    for one in (settings.judge, settings.judge_against):
        if one is not None and one not in names:
            raise ConfigError(f"{name}: the judge {one!r} is not among {', '.join(names)}")
    if settings.judge_against is not None and settings.judge is None:
        raise ConfigError(f"{name}: judge_against needs a `judge` that compares")
    for metric, (worst, best) in settings.metrics.items():
        if metric in (*SHARES, *DEEDS, "thumb"):
            raise ConfigError(f"{name}: metrics: {metric!r} has a meaning of its own; choose another name")
        if not abs(best - worst) > 0:  # NaN too
            raise ConfigError(f"{name}: the metric {metric!r} has the same worst and best value, {worst:g}")
    unpriced = [one.name for one in candidates if one.name in arms and not one.price.is_known]
    if settings.budget_usd_per_day is not None and len(unpriced) == len(arms):
        raise ConfigError(
            f"{name}: no price is known of {', '.join(unpriced)}, so no budget can be kept; write "
            "input_usd_per_mtok and output_usd_per_mtok"
        )
