"""Routers against baselines on held-out queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from suffice.evaluation import learning_curve, leave_out, new_model
from suffice.evaluation.baselines import baselines
from suffice.evaluation.choosing import Entrants, entrants
from suffice.evaluation.comparison import Comparison
from suffice.evaluation.detailing import details_of
from suffice.evaluation.details import Details
from suffice.evaluation.entries import Entry, entries_of
from suffice.evaluation.extras import NO_EXTRAS, Extras
from suffice.evaluation.ground import Ground, prepare
from suffice.evaluation.leaks import unknowing
from suffice.evaluation.plan_figures import PlanResult
from suffice.evaluation.planned.compare import PlanWish, compare_plans
from suffice.evaluation.recommend import Predictions, best_router, recommendation
from suffice.evaluation.robustness import robustness
from suffice.evaluation.significance import Resampled
from suffice.evaluation.trials import Bench, EmbedderGiven, Failed, Trial, Tried
from suffice.evaluation.truth import Truth
from suffice.evaluation.workers import OnStep, Workers
from suffice.outcomes import Outcomes
from suffice.types import Price


def evaluate(
    train: Outcomes,
    test: Outcomes,
    routers: Sequence[str] = ("all",),
    *,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    pair: tuple[str, str] | None = None,
    embedder: EmbedderGiven = None,
    seed: int = 0,
    n_folds: int = 3,
    n_resamples: int = 1000,
    extras: Extras = NO_EXTRAS,
    plans: PlanWish | None = None,
    jobs: int = 1,
    on_plan: Callable[[int], None] = lambda n_steps: None,
    on_step: OnStep = lambda step: None,
) -> Comparison:
    """Train every router, run it at every value, measure it beside the baselines.

    Decisions rest on costs predicted by a model fitted to the training data; true costs are paid.

    Parameters
    ----------
    train, test : recorded outcomes; only `train` decides anything
    routers : names, files (path/to/file.py:ClassName), or "all"
    models : to compare; None takes those with score and cost on 95 % of the training queries
    prices : USD per million tokens; replaces recorded costs where token counts are known
    pair : (strong, weak); None takes both models where there are two
    embedder : for routers that take one, itself or by name; None is the default
    seed : of routers, folds and resampling
    n_folds : of the cross-validation behind `recommended`
    n_resamples : of the intervals
    extras : further trainings
    plans : that ask more than once, to compare on the same queries
    jobs : processes to train in; the figures do not depend on it, times do. From a script, guard what
        starts it with `if __name__ == "__main__"`, since every process reads the script anew
    on_plan : told how many steps there will be
    on_step : told each step in words, when it is done

    Raises
    ------
    DataError
        If no model or no complete test query is left.
    ConfigError
        If no router is left, or models, pair or extras do not fit the data.
    """
    ground = prepare(train, test, models, prices, pair)
    chosen = entrants(routers)
    predictions = Predictions(
        ground.train,
        costs=ground.costs is not None,
        pair=ground.pair,
        n_folds=n_folds,
        embedder=embedder,
        seed=seed,
    )
    work = _Work(ground, chosen, predictions, extras, seed)
    bench = Bench(
        tables={"train": ground.train, "test": ground.test},
        embedders={"": embedder},
        cost_model=ground.cost_model,
    )
    on_plan(len(work) + (0 if plans is None else len(plans.names)))
    with Workers(bench, jobs=jobs) as workers:
        found = work.done(workers, on_step)
    resampled = Resampled(ground.truth, n_resamples=n_resamples, seed=seed)
    entries, skipped = entries_of(ground, chosen, predictions, resampled, found)
    believed = unknowing({name: entry.folds for name, entry in entries.items()})
    best = best_router({name: entries[name].validated for name in believed}, predictions.truth)
    recommended = recommendation(best, entries[best].value_usd, entries[best].result)
    details = details_of(ground, entries, recommended, resampled)
    planned: tuple[dict[str, PlanResult], dict[str, str]] = {}, {}
    if plans is not None:
        planned = _planned(
            plans, ground, predictions, best, entries[best], embedder, seed, n_resamples, on_step
        )
    return Comparison(
        models=ground.train.arms,
        n_train=ground.train.n_queries,
        n_test=ground.test.n_queries,
        cost_range_usd_per_1k=_range_per_1k(ground.truth),
        baselines=baselines(ground.truth),
        routers={name: entry.result for name, entry in entries.items()},
        recommended=recommended,
        skipped=chosen.skipped | skipped | planned[1],
        details=_with_extras(details, work, entries, found, n_resamples),
        plans=planned[0],
    )


def _planned(
    plans: PlanWish,
    ground: Ground,
    predictions: Predictions,
    best: str,
    entry: Entry,
    embedder: EmbedderGiven,
    seed: int,
    n_resamples: int,
    on_step: OnStep,
) -> tuple[dict[str, PlanResult], dict[str, str]]:
    """Plans beside the recommended router, and those that cannot run with the reason."""
    return compare_plans(
        plans,
        ground,
        predictions.complete,
        router=best,
        curve=entry.measured.curve,
        scores=(predictions.crossed(entry.folds), entry.tried.scores),
        train_costs=predictions.costs,
        value_usd=entry.value_usd,
        embedder=embedder,
        seed=seed,
        n_resamples=n_resamples,
        on_step=on_step,
    )


class _Work:
    """All trials of a comparison, planned before any is made, so that none waits for another's turn."""

    def __init__(
        self, ground: Ground, chosen: Entrants, predictions: Predictions, extras: Extras, seed: int
    ) -> None:
        names = chosen.names
        self.ground, self.extras, self.seed = ground, extras, seed
        self.grouping = (
            None if extras.leave_out is None else leave_out.Grouping(extras.leave_out, ground, extras.groups)
        )
        folds = {name: predictions.trials(name) for name in names}
        plans: dict[str, dict[Any, Trial]] = {
            "test": {name: self._test(name) for name in names},
            "folds": {(name, k): one for name, trials in folds.items() for k, one in enumerate(trials)},
            "leave_out": {} if self.grouping is None else leave_out.plan(self.grouping, names, seed=seed),
            "new_models": new_model.plan(ground, extras.new_models, names, extras.n_labels, seed=seed),
            "curve": learning_curve.plan(ground, names, extras.curve, seed=seed),
        }
        self.plans = {
            part: {
                key: msgspec.structs.replace(one, is_lenient=one.router in chosen.by_all)
                for key, one in plan.items()
            }
            for part, plan in plans.items()
        }

    def __len__(self) -> int:
        return sum(len(plan) for plan in self.plans.values())

    def done(self, workers: Workers, on_step: OnStep) -> dict[str, dict[Any, Tried | Failed]]:
        """What came of each, under the plan's own keys."""
        found = iter(workers.run([one for plan in self.plans.values() for one in plan.values()], on_step))
        return {part: {key: next(found) for key in plan} for part, plan in self.plans.items()}

    def _test(self, name: str) -> Trial:
        return Trial(
            router=name,
            seed=self.seed,
            measures_effort=True,
            rewords=self.extras.robustness,
            step="train and measure",
        )


def _with_extras(
    details: Details,
    work: _Work,
    entries: Mapping[str, Entry],
    found: Mapping[str, Mapping[Any, Tried | Failed]],
    n_resamples: int,
) -> Details:
    """What was asked for, of the routers that ran."""
    ground, extras, seed = work.ground, work.extras, work.seed

    def of_entries(part: str, place: int) -> dict[Any, Tried | Failed]:
        return {key: one for key, one in found[part].items() if key[place] in entries}

    left = None
    if work.grouping is not None:
        groups = of_entries("leave_out", 1)
        left = leave_out.result(ground, work.grouping, groups, n_resamples=n_resamples, seed=seed)
    new = None
    if extras.new_models:
        full = {name: entry.measured.aiq for name, entry in entries.items()}
        new = new_model.result(ground, of_entries("new_models", 1), full, extras.n_labels)
    return msgspec.structs.replace(
        details,
        leave_out=left,
        new_models=new,
        learning_curve=learning_curve.result(ground, of_entries("curve", 0), seed=seed),
        robustness={
            name: robustness(ground, one.tried.reworded, one.tried.scores, one.value_usd, seed=seed)
            for name, one in entries.items()
            if extras.robustness
        },
    )


def _range_per_1k(truth: Truth) -> tuple[float, float] | None:
    span = truth.cost_range()
    return None if span is None else (1000 * span[0], 1000 * span[1])
