"""The recommendation: which router and which value, by cross-validation on training queries alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from suffice.errors import DataError
from suffice.evaluation.comparison import Recommendation, RouterResult
from suffice.evaluation.details import CrossValidated
from suffice.evaluation.fitting import costs_of
from suffice.evaluation.measuring import Measured, measure
from suffice.evaluation.selection import has_costs, is_complete, select_pair, truth_of
from suffice.evaluation.significance import Resampled
from suffice.evaluation.trials import Bench, EmbedderGiven, Trial, Tried, attempt
from suffice.evaluation.truth import Truth
from suffice.outcomes import Outcomes
from suffice.outcomes.splitting import assign
from suffice.routers import fit_cost_model
from suffice.types import BoolArray, FloatArray, IntArray

_ENOUGH: Final = 0.95
"""Share of the best single model's quality that a recommended value keeps, where any does."""
_QUALITY_PER_BILL: Final = 0.1
"""What the best single model's whole bill is worth, as a share of its quality."""
_PROVEN: Final = ("ensemble", "blend", "ridge", "knn")
"""Preferred among near equals, in this order: never far behind on any recorded outcomes."""
_APGR_ERROR: Final = 0.4
"""Standard error of the difference of two routers' APGR, about, times the root of the number of queries."""
_N_RESAMPLES: Final = 200


class Predictions:
    """Scores of training queries by routers that did not see them, and what they are worth."""

    def __init__(
        self,
        train: Outcomes,
        *,
        costs: bool,
        pair: tuple[str, str] | None,
        n_folds: int,
        embedder: EmbedderGiven,
        seed: int,
    ) -> None:
        """
        Parameters
        ----------
        train : the compared models on the training queries
        costs : whether costs are compared
        n_folds : at least 2; equal texts fall into one fold

        Raises
        ------
        DataError
            If there are too few training queries, or none is known for every model.
        """
        self._train, self._pair, self._embedder, self._seed = train, pair, embedder, seed
        self._folds = _folds(train, n_folds, seed)
        self._complete = is_complete(train, costs=costs)
        if not self._complete.any():
            raise DataError(
                f"none of {train.n_queries} training queries is known for all {train.n_arms} models: name "
                "fewer with --models"
            )
        self._truth = truth_of(train.select(rows=self._complete), costs=costs)
        self._costs = self._predicted_costs() if costs else None

    @property
    def truth(self) -> Truth:
        """What is judged on: the training queries known for every model."""
        return self._truth

    @property
    def complete(self) -> BoolArray:
        """(n,): the training queries that are known for every model."""
        return self._complete

    @property
    def costs(self) -> FloatArray | None:
        """(n, K): of training queries, predicted from others; None without costs."""
        return self._costs

    @property
    def bench(self) -> Bench:
        """What this router's trials work on."""
        return Bench(tables={"train": self._train}, embedders={"": self._embedder})

    def trials(
        self, router: str, params: Mapping[str, Any] | None = None, *, embedder: str = ""
    ) -> list[Trial]:
        """One training per fold, asked about the queries that it leaves out."""
        n_folds = int(self._folds.max()) + 1
        return [
            Trial(
                router=router,
                params=params or {},
                embedder=embedder,
                seed=self._seed,
                train_rows=np.flatnonzero(self._folds != fold),
                asked="train",
                asked_rows=np.flatnonzero(self._folds == fold),
                step=f"cross-validate, part {fold + 1} of {n_folds}",
            )
            for fold in range(n_folds)
        ]

    def measured(self, found: Sequence[Tried]) -> Measured:
        """What came of `trials`, judged on all folds together."""
        costs = None if self._costs is None else self._costs[self._complete]
        return measure(self._truth, self.crossed(found)[self._complete], costs, self._pair)

    def crossed(self, found: Sequence[Tried]) -> FloatArray:
        """(n, K): scores of all training queries, from `trials`."""
        scores = np.empty_like(self._train.quality)
        for fold, tried in enumerate(found):
            scores[self._folds == fold] = tried.scores
        return scores

    def measure(self, router: str, params: Mapping[str, Any] | None = None) -> Measured:
        """Train it once per fold; judge all folds together, on the queries known for every model."""
        bench = self.bench
        return self.measured([attempt(trial, bench) for trial in self.trials(router, params)])

    def value_usd(self, measured: Measured) -> float | None:
        """What a right answer should be worth; None without costs.

        Of the values whose choices keep 95 % of the best single model's quality (of all values where
        none does), the one with the greatest share of its quality less a tenth of the share of its
        cost: saving a tenth of that model's bill is worth 1 % of its quality. Infinity is left out.
        """
        span = self._truth.cost_range()
        if span is None:
            return None
        curve = measured.curve
        is_finite = np.isfinite(curve.values_usd)
        best_single = float(self._truth.mean_quality[self._truth.best_single])
        quality = curve.quality[is_finite] / max(best_single, 1e-12)
        cost = curve.cost_usd[is_finite] / max(span[1], 1e-12)
        suffices = quality >= min(_ENOUGH, quality.max())
        best = np.argmax(np.where(suffices, quality - _QUALITY_PER_BILL * cost, -np.inf))
        return float(curve.values_usd[best])

    def _predicted_costs(self) -> FloatArray:
        costs = np.empty_like(self._train.quality)
        for fold in range(self._folds.max() + 1):
            held = self._folds == fold
            model = fit_cost_model(self._train.select(rows=~held))
            costs[held] = costs_of(model, self._train.select(rows=held).queries, self._train.arms)
        return costs


def cross_validate(
    router: str,
    train: Outcomes,
    params: Mapping[str, Any] | None = None,
    *,
    embedder: EmbedderGiven = None,
    n_folds: int = 3,
    seed: int = 0,
) -> CrossValidated:
    """What a router with these parameters is worth on queries that it did not learn from."""
    predictions = Predictions(
        train,
        costs=has_costs(train),
        pair=select_pair(train, None),
        n_folds=n_folds,
        embedder=embedder,
        seed=seed,
    )
    return cross_validated(predictions.measure(router, params))


def cross_validated(measured: Measured) -> CrossValidated:
    """For the report."""
    return CrossValidated(
        aiq=measured.aiq,
        max_quality=float(measured.curve.quality.max()),
        apgr=None if measured.pair is None else measured.pair.apgr,
    )


def best_router(measured: Mapping[str, Measured], truth: Truth | None = None) -> str:
    """Highest cross-validated AIQ; without costs APGR, without a pair quality; of equals the first.

    The highest of twenty noisy figures is the luckiest, so with `truth` a router that has proved itself
    elsewhere is preferred where it lies within one standard error of the highest (the rule of Breiman et
    al., 1984, Classification and Regression Trees, section 3.4.3, for a paired difference).

    Parameters
    ----------
    truth : what was measured on; None takes the highest as it is
    """
    highest = max(measured, key=lambda name: _merit(measured[name]))
    if truth is None:
        return highest
    for name in _PROVEN:
        if name in measured and _is_close(measured[name], measured[highest], truth):
            return name
    return highest


def _merit(found: Measured) -> float:
    if found.aiq is not None:
        return found.aiq
    return float(found.curve.quality.max()) if found.pair is None else found.pair.apgr


def _is_close(found: Measured, highest: Measured, truth: Truth) -> bool:
    """Whether it lies within one standard error of the difference, over resampled queries."""
    gap = _merit(highest) - _merit(found)
    if gap <= 0:
        return True
    if highest.aiq is None and highest.pair is not None:
        return bool(gap <= _APGR_ERROR / np.sqrt(len(truth.quality)))
    resampled = Resampled(truth, n_resamples=_N_RESAMPLES, seed=0)
    drawn, other = (resampled.draw(one.curve) for one in (found, highest))
    if drawn is None or other is None:
        qualities = [truth.quality_of(one.curve.chosen[-1]) for one in (found, highest)]
        return gap <= float(np.std(qualities[0] - qualities[1]) / np.sqrt(len(qualities[0])))
    return gap <= float(np.std(resampled.aiq(drawn) - resampled.aiq(other)))


def recommendation(router: str, value_usd: float | None, result: RouterResult) -> Recommendation:
    """The chosen router at the chosen value, judged on the test queries."""
    at = next((p for p in result.curve if p.value_usd == value_usd), result.curve[-1])
    return Recommendation(
        router=router,
        value_usd=value_usd,
        aiq=result.aiq,
        aiq_ci=result.aiq_ci,
        quality=at.quality,
        cost_usd_per_1k=at.cost_usd_per_1k,
        cost_share_at_best_single=result.cost_share_at_best_single,
        cost_share_at_95pct=result.cost_share_at_95pct,
    )


def _folds(train: Outcomes, n_folds: int, seed: int) -> IntArray:
    """(n,): the fold of every query."""
    n = max(2, min(n_folds, train.n_queries))
    shares: Sequence[float] = [1 / n] * n
    return assign(train.queries, shares, seed=seed, by="row")
