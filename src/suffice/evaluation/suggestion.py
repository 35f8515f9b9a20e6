"""Which router, embedder and value suit recorded outcomes, by cross-validation on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from suffice import embedders as registry
from suffice import routers
from suffice.errors import ConfigError, MissingDependency
from suffice.evaluation.baselines import singles
from suffice.evaluation.choosing import Entrants, entrants
from suffice.evaluation.detailing import at_value, cheap_single
from suffice.evaluation.details import AtValue, CheapSingle, CrossValidated
from suffice.evaluation.figures import Significance, SingleModel
from suffice.evaluation.leaks import unknowing
from suffice.evaluation.measuring import Measured
from suffice.evaluation.recommend import Predictions, best_router, cross_validated
from suffice.evaluation.selection import has_costs, select_models, select_pair
from suffice.evaluation.significance import Resampled, judged
from suffice.evaluation.trials import Bench, Failed, Trial, Tried
from suffice.evaluation.workers import OnStep, Workers
from suffice.metrics import aiq
from suffice.outcomes import Outcomes
from suffice.types import Price

DEFAULT: Final = "hashed"
LOCAL: Final = (DEFAULT, "minilm")
"""Embedders that ask no service."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One router with one embedder."""

    router: str
    embedder: str | None
    """null: it takes none."""
    cross_validation: CrossValidated
    over_zero: Significance
    """AIQ against the zero router; without costs, quality against the best single model."""
    ties: bool
    """Whether its distance to the suggested one is within chance."""
    is_believed: bool = True
    """False: it was trained on these queries before, and cannot be judged on them."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """What to use; every figure is cross-validated, none is from queries that were trained on."""

    router: str
    embedder: str | None
    value_usd: float | None
    """null without costs."""
    models: tuple[str, ...]
    n_queries: int
    best_single: SingleModel
    zero_router_aiq: float | None
    at_value: AtValue
    cheap_single: CheapSingle | None
    options: dict[str, Option]
    """By name, "router+embedder" where the embedder is not the default; best first."""
    models_left_out: dict[str, str]
    skipped: dict[str, str]
    """Router or embedder -> why."""

    @property
    def chosen(self) -> Option:
        """The suggested option."""
        return self.options[_label(self.router, self.embedder)]


def suggest(
    outcomes: Outcomes,
    names: Sequence[str] = ("all",),
    *,
    embedders: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    n_folds: int = 5,
    n_resamples: int = 1000,
    seed: int = 0,
    jobs: int = 1,
    on_plan: Callable[[int], None] = lambda n_steps: None,
    on_step: OnStep = lambda step: None,
) -> Suggestion:
    """Cross-validate every router with every embedder; take the best.

    An embedder other than the default is suggested only where it is better by more than chance: it
    takes milliseconds where the default takes a fraction of one.

    Parameters
    ----------
    outcomes : recorded; all of it is trained and judged on, in turn
    names : of routers, or "all"
    embedders : names; None takes the local ones that are installed
    models, prices, n_folds, n_resamples, seed, jobs, on_plan, on_step : as of `evaluate`

    Raises
    ------
    ConfigError
        If no router or embedder can run here.
    DataError
        If the outcomes do not suffice.
    """
    table = outcomes.with_prices(prices) if prices else outcomes
    kept, left_out = select_models(table, models)
    table = table.select(arms=kept)
    predictions = Predictions(
        table,
        costs=has_costs(table),
        pair=select_pair(table, None),
        n_folds=n_folds,
        embedder=None,
        seed=seed,
    )
    chosen = entrants(names)
    usable, unusable = usable_embedders(embedders)
    plans = _plans(chosen, usable, predictions)
    trials = [trial for plan in plans.values() for trial in plan.trials]
    on_plan(len(trials))
    bench = Bench(tables={"train": table}, embedders={name: name for name in (*usable, DEFAULT)})
    with Workers(bench, jobs=jobs) as workers:
        found = workers.run(trials, on_step)
    tried, skipped = _tried(plans, found)
    measured = {label: predictions.measured(folds) for label, folds in tried.items()}
    judge = _Judge(Resampled(predictions.truth, n_resamples=n_resamples, seed=seed), measured)
    best = judge.best(plans, unknowing(tried))
    value_usd = predictions.value_usd(measured[best])
    span = predictions.truth.cost_range()
    return Suggestion(
        router=plans[best].router,
        embedder=plans[best].embedder,
        value_usd=value_usd,
        models=table.arms,
        n_queries=table.n_queries,
        best_single=singles(predictions.truth)[0],
        zero_router_aiq=None if span is None else judge.zero_router_aiq,
        at_value=at_value(predictions.truth, measured[best].curve, value_usd),
        cheap_single=cheap_single(judge.resampled, measured[best].curve, judge.drawn[best]),
        options=judge.options(best, plans, unknowing(tried)),
        models_left_out=left_out,
        skipped=chosen.skipped | unusable | skipped,
    )


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A router with an embedder, and the trainings that judge it."""

    router: str
    embedder: str | None
    is_lenient: bool
    trials: list[Trial]


def usable_embedders(names: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Embedders that can be made here, and why others cannot.

    Parameters
    ----------
    names : None takes the local ones, and leaves out what is not installed; those named must work
    """
    usable, unusable = [], {}
    for name in LOCAL if names is None else names:
        try:
            registry.create(name)
            usable.append(name)
        except (MissingDependency, ConfigError) as error:
            if names is not None:
                raise
            unusable[name] = str(error)
    return tuple(usable), unusable


def _plans(chosen: Entrants, usable: Sequence[str], predictions: Predictions) -> dict[str, _Plan]:
    """By label; a router without an embedder once, others with each."""
    plans = {}
    for name in chosen.names:
        is_lenient = name in chosen.by_all
        takes_one = getattr(routers.get(name), "needs_embedder", False)
        for embedder in usable if takes_one else (None,):
            trials = [
                msgspec.structs.replace(trial, is_lenient=is_lenient)
                for trial in predictions.trials(name, embedder=embedder or DEFAULT)
            ]
            plans[_label(name, embedder)] = _Plan(
                router=name, embedder=embedder, is_lenient=is_lenient, trials=trials
            )
    return plans


def _label(router: str, embedder: str | None) -> str:
    return router if embedder in (None, DEFAULT) else f"{router}+{embedder}"


def _tried(
    plans: Mapping[str, _Plan], found: Sequence[Tried | Failed]
) -> tuple[dict[str, list[Tried]], dict[str, str]]:
    """What came of each option, fold by fold, and why others could not run.

    With an embedder that lacks what a router needs (sparse features), even a named router is skipped.
    """
    results = iter(found)
    tried: dict[str, list[Tried]] = {}
    skipped: dict[str, str] = {}
    for label, plan in plans.items():
        folds = [next(results) for _ in plan.trials]
        failed = next((one for one in folds if isinstance(one, Failed)), None)
        if failed is None:
            tried[label] = [one for one in folds if isinstance(one, Tried)]
        elif plan.is_lenient or failed.kind == "MissingDependency" or plan.embedder not in (None, DEFAULT):
            skipped[label] = failed.message
        else:
            raise failed.raised()
    if not tried:
        raise ConfigError(f"no router could run: {'; '.join(skipped.values())}")
    return tried, skipped


class _Judge:
    """Options beside each other, on the same resampled queries."""

    def __init__(self, resampled: Resampled, measured: Mapping[str, Measured]) -> None:
        self.resampled, self._measured = resampled, measured
        self.drawn = {name: resampled.draw(one.curve) for name, one in measured.items()}
        self._aiq = {name: resampled.aiq(drawn) for name, drawn in self.drawn.items() if drawn is not None}

    @property
    def zero_router_aiq(self) -> float:
        truth, span = self.resampled.truth, self.resampled.truth.cost_range()
        assert span is not None
        return aiq(truth.mean_cost, truth.mean_quality, *span)

    def best(self, plans: Mapping[str, _Plan], believed: Sequence[str]) -> str:
        """The best that can be believed.

        If its embedder is slow, the best of those with the default one that tie with it.
        """
        truth = self.resampled.truth
        first = best_router({name: self._measured[name] for name in believed}, truth)
        if plans[first].embedder in (None, DEFAULT):
            return first
        fast = {
            name: self._measured[name]
            for name in believed
            if plans[name].embedder in (None, DEFAULT) and self.ties(name, first)
        }
        return best_router(fast, truth) if fast else first

    def ties(self, name: str, other: str) -> bool:
        """Whether the difference of two options is within chance."""
        mine, theirs = self._measured[name], self._measured[other]
        if mine.aiq is not None and theirs.aiq is not None:
            gain, drawn = mine.aiq - theirs.aiq, self._aiq[name] - self._aiq[other]
            return judged("aiq", other, gain, drawn).verdict == "within chance"
        return self.resampled.between(mine.curve, theirs.curve, other).verdict == "within chance"

    def options(self, best: str, plans: Mapping[str, _Plan], believed: Sequence[str]) -> dict[str, Option]:
        """All of them: the suggested one, then by gain."""
        found = {
            name: Option(
                router=plans[name].router,
                embedder=plans[name].embedder,
                cross_validation=cross_validated(one),
                over_zero=self.resampled.primary(one.curve, self.drawn[name]),
                ties=name == best or self.ties(name, best),
                is_believed=name in believed,
            )
            for name, one in self._measured.items()
        }
        order = sorted(found, key=lambda name: (name != best, -found[name].over_zero.gain))
        return {name: found[name] for name in order}
