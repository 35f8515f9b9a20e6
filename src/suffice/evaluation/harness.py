"""Routers against baselines on held-out queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from suffice import routers as registry
from suffice.errors import ConfigError, DataError, MissingDependency
from suffice.evaluation.baselines import baselines, singles
from suffice.evaluation.comparison import Comparison, Details, RouterResult, TaskMeans
from suffice.evaluation.fitting import costs_of, fitted, scores_of
from suffice.evaluation.leaks import n_seen
from suffice.evaluation.measuring import Measured, measure, median_decision_us, router_result
from suffice.evaluation.recommend import (
    OnStep,
    Predictions,
    best_router,
    cross_validated,
    recommendation,
)
from suffice.evaluation.selection import has_costs, is_complete, select_models, select_pair, truth_of
from suffice.evaluation.task_means import task_mean_scores
from suffice.evaluation.truth import Truth
from suffice.outcomes import Outcomes
from suffice.protocols import CostModel, Embedder
from suffice.types import FloatArray, Price


class _Ground(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is the same for all routers of one comparison."""

    train: Outcomes
    """The compared models, every training query."""
    test: Outcomes
    """The compared models, complete test queries."""
    truth: Truth
    cost_model: CostModel | None
    costs: FloatArray | None
    """(n_test, K): predicted."""
    pair: tuple[str, str] | None
    models_left_out: dict[str, str]
    n_test_left_out: int


def evaluate(
    train: Outcomes,
    test: Outcomes,
    routers: Sequence[str] = ("all",),
    *,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    pair: tuple[str, str] | None = None,
    embedder: Embedder | None = None,
    seed: int = 0,
    n_folds: int = 3,
    n_resamples: int = 1000,
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
    embedder : for routers that take one; None is the default
    seed : of routers, folds and resampling
    n_folds : of the cross-validation behind `recommended`
    n_resamples : of the intervals
    on_step : told each step in words

    Raises
    ------
    DataError
        If no model or no complete test query is left.
    ConfigError
        If no router is left, or models or pair do not fit the data.
    """
    ground = _ground(train, test, models, prices, pair)
    predictions = Predictions(
        ground.train,
        costs=ground.costs is not None,
        pair=ground.pair,
        n_folds=n_folds,
        embedder=embedder,
        seed=seed,
    )
    results: dict[str, RouterResult] = {}
    validated: dict[str, Measured] = {}
    skipped: dict[str, str] = {}
    for name in resolve(routers):
        try:
            on_step(f"{name}: train and measure")
            result = _run(name, ground, embedder, seed, n_resamples)
            on_step(f"{name}: cross-validate")
            validated[name] = predictions.measure(name)
            results[name] = result
        except MissingDependency as error:
            skipped[name] = str(error)
    if not results:
        raise ConfigError(f"no router could run: {'; '.join(skipped.values())}")
    chosen = best_router(validated)
    return Comparison(
        models=ground.train.arms,
        n_train=ground.train.n_queries,
        n_test=ground.test.n_queries,
        cost_range_usd_per_1k=_range_per_1k(ground.truth),
        baselines=baselines(ground.truth),
        routers=results,
        recommended=recommendation(chosen, predictions.value_usd(validated[chosen]), results[chosen]),
        skipped=skipped,
        details=_details(ground, validated),
    )


def resolve(names: Sequence[str]) -> tuple[str, ...]:
    """Router names with "all" written out, each once."""
    written = [name for given in names for name in (registry.available() if given == "all" else (given,))]
    if not written:
        raise ConfigError(f"no router is named: give some of {', '.join(registry.available())}, or all")
    return tuple(dict.fromkeys(written))


def _ground(
    train: Outcomes,
    test: Outcomes,
    models: Sequence[str] | None,
    prices: Mapping[str, Price] | None,
    pair: tuple[str, str] | None,
) -> _Ground:
    if prices:
        train, test = train.with_prices(prices), test.with_prices(prices)
    names, left_out = select_models(train, models)
    missing = [name for name in names if name not in test.arms]
    if missing:
        raise DataError(f"the test data have no {', '.join(missing)}: name the common ones with --models")
    train, test = train.select(arms=names), test.select(arms=names)
    costs = has_costs(train)
    complete = is_complete(test, costs=costs)
    if not complete.any():
        what = "a score and a cost" if costs else "a score"
        raise DataError(
            f"none of {test.n_queries} test queries has {what} of all {len(names)} models: name fewer "
            "with --models" + (", or give prices with --prices" if costs else "")
        )
    test = test.select(rows=complete)
    cost_model = registry.fit_cost_model(train, prices) if costs else None
    return _Ground(
        train=train,
        test=test,
        truth=truth_of(test, costs=costs),
        cost_model=cost_model,
        costs=None if cost_model is None else costs_of(cost_model, test.queries, names),
        pair=select_pair(train, pair),
        models_left_out=left_out,
        n_test_left_out=int((~complete).sum()),
    )


def _run(name: str, ground: _Ground, embedder: Embedder | None, seed: int, n_resamples: int) -> RouterResult:
    router, fit_s = fitted(name, ground.train, embedder=embedder, seed=seed)
    decision_us = median_decision_us(router, ground.cost_model, ground.test.queries)
    scores = scores_of(router, ground.test.queries, ground.truth.models)
    measured = measure(ground.truth, scores, ground.costs, ground.pair)
    return router_result(
        ground.truth,
        measured,
        fit_s=fit_s,
        decision_us=decision_us,
        n_resamples=n_resamples,
        seed=seed,
    )


def _details(ground: _Ground, validated: Mapping[str, Measured]) -> Details:
    return Details(
        singles=singles(ground.truth),
        models_left_out=ground.models_left_out,
        n_test_left_out=ground.n_test_left_out,
        n_test_seen=n_seen(ground.train, ground.test),
        pair=ground.pair,
        task_means=_task_means(ground),
        cross_validation={name: cross_validated(found) for name, found in validated.items()},
    )


def _task_means(ground: _Ground) -> TaskMeans | None:
    scores = task_mean_scores(ground.train, ground.test)
    if scores is None:
        return None
    measured = measure(ground.truth, scores, ground.costs, ground.pair)
    return TaskMeans(aiq=measured.aiq, pair=measured.pair)


def _range_per_1k(truth: Truth) -> tuple[float, float] | None:
    span = truth.cost_range()
    return None if span is None else (1000 * span[0], 1000 * span[1])
