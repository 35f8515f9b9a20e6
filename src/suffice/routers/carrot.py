"""CARROT: plug-in estimates of quality and of cost for every query and arm.

Somerstep et al. (2025, arXiv 2502.03261), CARROT: A Cost Aware Rate Optimal Router: estimate quality p and
cost c by any consistent regression, then take the arm of the greatest (1 - mu) p - mu c, which is minimax
optimal. Dividing by mu gives `value_usd` x p - c with `value_usd` = (1 - mu) / mu, the utility policy; so
mu needs no place here, and one trained router serves every mu.

Departures: the nearest neighbours and the linear regression shrink to the arms' means as `knn` and `ridge`
do, in the place of the paper's plain kNN and RoBERTa; and cost is learnt as tokens where they are known, so
that prices stay outside of what is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.routers.costs import CostFit, TokenCostModel, fit_cost_model
from suffice.routers.knn import KNN
from suffice.routers.lengths import LengthPredictor, query_bytes
from suffice.routers.ridge import Ridge
from suffice.types import FloatArray, Price, Query

_QUANTITIES: Final = ("completion_tokens", "cost_usd")


class Carrot(BaseRouter):
    """Quality by k nearest neighbours or linearly; `cost_model` gives its estimate of cost.

    Examples
    --------
    The arm that the paper's rule takes at mu = 0.2 is the utility policy's at value 0.8 / 0.2 = 4 USD:

    >>> quality, cost, mu = np.array([0.6, 0.9]), np.array([0.5, 2.0]), 0.2
    >>> bool(((1 - mu) * quality - mu * cost).argmax() == ((1 - mu) / mu * quality - cost).argmax())
    True
    """

    name = "carrot"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        estimator: Literal["knn", "linear"] = "knn",
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        estimator : "knn", or "linear" on words, which needs an embedder with sparse features
        seed : of the estimators
        """
        self.embedder = embedder
        self.estimator, self.seed = estimator, seed

    def _estimator(self) -> KNN | Ridge:
        if self.estimator == "knn":
            return KNN(embedder=self._embedder(), seed=self.seed)
        if self.estimator == "linear":
            return Ridge(embedder=self._feature_embedder(), seed=self.seed)
        raise ConfigError(f"carrot's estimator is {self.estimator!r}; knn or linear is needed")

    def _fit(self, outcomes: Outcomes) -> None:
        self.quality_ = self._estimator().fit(outcomes)
        self.costs_: CostFit = fit_cost_model(outcomes).fit
        self.quantities_: dict[str, _Quantity] = {}
        for name in _QUANTITIES:
            values = np.asarray(getattr(outcomes, name), np.float64)
            if not np.isnan(values).all():
                self.quantities_[name] = _Quantity.learn(outcomes, values, self._estimator())

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        return self.quality_._scores(queries)

    def cost_model(self, prices: Mapping[str, Price] | None = None) -> CarrotCosts:
        """What each arm would cost, per query.

        Parameters
        ----------
        prices : by arm; an arm that is missing takes its costs as recorded
        """
        self._check_fitted()
        return CarrotCosts(self.quantities_, self.costs_, prices)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        return self.quality_.explain(query).evidence

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        facts: dict[str, Any] = {"costs": msgspec.to_builtins(self.costs_), "parts": {}}
        parts = {"quality": self.quality_} | {name: one.part for name, one in self.quantities_.items()}
        for name, part in parts.items():
            own, facts["parts"][name] = part._state()
            arrays |= {f"{name}_{key}": array for key, array in own.items()}
        arrays |= {f"{name}_scale": one.scale for name, one in self.quantities_.items()}
        return arrays, facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        parts = {}
        for name, own in facts["parts"].items():
            part = parts[name] = self._estimator()
            part.arms_, part.n_train_ = self.arms_, self.n_train_
            part._restore(arrays.under(f"{name}_"), own)
        self.quality_ = parts["quality"]
        self.costs_ = msgspec.convert(facts["costs"], CostFit)
        shape = (len(self.arms_),)
        self.quantities_ = {
            name: _Quantity(parts[name], arrays.take(f"{name}_scale", "f", shape))
            for name in _QUANTITIES
            if name in parts
        }


class _Quantity:
    """Tokens or dollars of every arm, estimated as a share of the most that the arm was seen to take."""

    def __init__(self, part: KNN | Ridge, scale: FloatArray) -> None:
        self.part, self.scale = part, scale

    @classmethod
    def learn(cls, outcomes: Outcomes, values: FloatArray, part: KNN | Ridge) -> _Quantity:
        scale = np.nan_to_num(values, nan=0.0).max(axis=0)
        scale[scale <= 0] = 1.0
        part.fit(Outcomes.from_arrays(outcomes.queries, outcomes.arms, values / scale))
        return cls(part, scale)

    def __call__(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K), NaN for an arm without data."""
        return self.part.scores(queries) * self.scale


class CarrotCosts:
    """Estimated completion tokens, and prompt tokens by length, at the prices given.

    Where an arm has no price its recorded costs are estimated instead; an arm priced by the hour or in
    tiers, or without either, costs what `TokenCostModel` says.
    """

    def __init__(
        self, quantities: Mapping[str, _Quantity], fit: CostFit, prices: Mapping[str, Price] | None = None
    ) -> None:
        self._quantities = dict(quantities)
        self._fallback = TokenCostModel(fit, prices)
        self._prompt = LengthPredictor(fit.prompt_tokens)
        known = [(prices or {}).get(arm) for arm in fit.arms]
        self._is_priced = np.array([price is not None for price in known], np.bool_)
        flat = [price if price is not None and not price.tiers else Price() for price in known]
        self._into = _usd_per_token([price.input_usd_per_mtok for price in flat])
        self._out = _usd_per_token([price.output_usd_per_mtok for price in flat])

    @property
    def arms(self) -> tuple[str, ...]:
        return self._fallback.arms

    def costs(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K) USD; NaN where neither price and tokens nor recorded costs are known."""
        if not queries:
            return np.empty((0, len(self.arms)))
        costs = np.full((len(queries), len(self.arms)), np.nan)
        if "completion_tokens" in self._quantities:
            completion = self._quantities["completion_tokens"](queries)
            costs = self._prompt(query_bytes(queries)) * self._into + completion * self._out
        if "cost_usd" in self._quantities and not self._is_priced.all():
            observed = self._quantities["cost_usd"](queries)
            costs[:, ~self._is_priced] = observed[:, ~self._is_priced]
        return np.where(np.isnan(costs), self._fallback.costs(queries), costs)


def _usd_per_token(prices: Sequence[object]) -> FloatArray:
    """(K,), NaN where unknown."""
    return np.array([np.nan if price is None else float(str(price)) / 1e6 for price in prices])
