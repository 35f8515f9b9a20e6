"""What each arm would cost: tokens learnt, prices looked up at the time of asking.

The cost half of CARROT (2025, arXiv 2502.03261): cost is predicted per query and model, like quality.
A price change needs no retraining, since only token counts are learnt where they are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from suffice.outcomes import Outcomes
from suffice.routers.fits import Fit, read_fit, write_fit
from suffice.routers.lengths import LengthPredictor, LengthRegression, query_bytes
from suffice.types import FloatArray, Price, Query

FILE: Final = "costs.json"
PRIOR_BYTES_PER_TOKEN: Final = 4.0
_SHORTEST_TOKEN: Final = 3.0
"""Bytes: a prompt has hardly more tokens than one for each three."""
PRIOR_COMPLETION_TOKENS: Final = 250.0
PRIOR_TOKENS_PER_S: Final = 15.0
"""Of a small model on one core."""


class CostFit(Fit, frozen=True, kw_only=True):
    """What is learnt, as it stands in `costs.json`."""

    observed: LengthRegression
    """USD, at the prices of the training data."""
    prompt_tokens: LengthRegression
    completion_tokens: LengthRegression
    seconds: LengthRegression
    """Of one call, for prices by the hour."""


class ObservedCostModel:
    """Cost regressed on length, at whatever prices the training data were recorded."""

    def __init__(self, fit: CostFit) -> None:
        self.fit = fit
        self._observed = LengthPredictor(fit.observed)

    @property
    def arms(self) -> tuple[str, ...]:
        return self.fit.arms

    def costs(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K) USD; NaN for an arm whose cost was never seen."""
        return self._observed(query_bytes(queries))

    def save(self, directory: Path) -> None:
        """Write `costs.json` beside the router."""
        write_fit(Path(directory) / FILE, self.fit)


class TokenCostModel:
    """Predicted tokens times the prices given; where an arm lacks either, its recorded costs.

    A model priced by the hour costs its predicted seconds on one core.
    """

    def __init__(self, fit: CostFit, prices: Mapping[str, Price] | None = None) -> None:
        self.fit = fit
        self._observed = LengthPredictor(fit.observed)
        self._tokens = LengthPredictor(fit.prompt_tokens), LengthPredictor(fit.completion_tokens)
        self._seconds = LengthPredictor(fit.seconds)
        known = [(prices or {}).get(arm, Price()) for arm in fit.arms]
        self._into = _usd([price.input_usd_per_mtok for price in known], 1e-6)
        self._out = _usd([price.output_usd_per_mtok for price in known], 1e-6)
        self._per_second = _usd([price.usd_per_cpu_hour for price in known], 1 / 3600)
        self._tiers = tuple(
            (
                arm,
                tier.min_prompt_tokens,
                float(tier.input_usd_per_mtok) / 1e6,
                float(tier.output_usd_per_mtok) / 1e6,
            )
            for arm, price in enumerate(known)
            for tier in price.tiers
        )

    @property
    def arms(self) -> tuple[str, ...]:
        return self.fit.arms

    def with_prices(self, prices: Mapping[str, Price]) -> TokenCostModel:
        """The same tokens at other prices."""
        return TokenCostModel(self.fit, prices)

    def costs(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K) USD; NaN where neither price and tokens nor recorded costs are known."""
        n_bytes = query_bytes(queries)
        prompt, completion = (predict(n_bytes) for predict in self._tokens)
        costs = prompt * self._into + completion * self._out
        for arm, start, into, out in self._tiers:
            is_in = prompt[:, arm] >= start
            costs[is_in, arm] = prompt[is_in, arm] * into + completion[is_in, arm] * out
        if np.isnan(costs).any():
            for other in (self._per_second * self._seconds(n_bytes), self._observed(n_bytes)):
                costs = np.where(np.isnan(costs), other, costs)
        return costs

    def save(self, directory: Path) -> None:
        """Write `costs.json` beside the router; prices are not saved."""
        write_fit(Path(directory) / FILE, self.fit)


class CostCaps:
    """What an answer can cost at most that is limited in length: predictions beyond are none."""

    def __init__(self, prices: Sequence[Price], most_tokens: Sequence[int | None]) -> None:
        """
        Parameters
        ----------
        prices, most_tokens : of the arms, in their order; None: its own limit is not known
        """
        self._into = _usd([price.input_usd_per_mtok for price in prices], 1e-6)
        self._out = _usd([price.output_usd_per_mtok for price in prices], 1e-6)
        self._most = np.array([np.inf if most is None else most for most in most_tokens], np.float64)
        self._is_tiered = np.array([bool(price.tiers) for price in prices])
        self.is_idle = not (self._most < PRIOR_COMPLETION_TOKENS * 4).any()
        """Whether no arm's own limit is likely to be met."""

    def capped(self, costs: FloatArray, query: Query, max_tokens: int | None) -> FloatArray:
        """(1, K) USD; prices with tiers, unknown ones and unknown costs (NaN) are left as they are.

        Parameters
        ----------
        max_tokens : the request's own limit
        """
        most = self._most if max_tokens is None else np.minimum(self._most, max_tokens)
        prompt = query_bytes([query]) / _SHORTEST_TOKEN
        most_usd = np.where(self._is_tiered, np.nan, prompt * self._into + most * self._out)
        return np.where(most_usd < costs, most_usd, costs)


def fit_cost_model(
    outcomes: Outcomes, prices: Mapping[str, Price] | None = None
) -> TokenCostModel | ObservedCostModel:
    """By tokens where any are known, else by recorded cost.

    Parameters
    ----------
    prices : by arm; None, or an arm that is missing, takes the costs as recorded
    """
    n_bytes = query_bytes(outcomes.queries)
    fit = CostFit(
        arms=tuple(outcomes.arms),
        observed=LengthRegression.learn(n_bytes, outcomes.cost_usd),
        prompt_tokens=LengthRegression.learn(n_bytes, outcomes.prompt_tokens),
        completion_tokens=LengthRegression.learn(n_bytes, outcomes.completion_tokens, is_linear=False),
        seconds=LengthRegression.learn(n_bytes, outcomes.latency_s, is_linear=False),
    )
    return _model(fit, prices)


def prior_cost_model(arms: Sequence[str], prices: Mapping[str, Price]) -> TokenCostModel:
    """Before there are any data: four bytes a token, and answers of a usual length.

    Parameters
    ----------
    prices : by arm; an arm that is missing has an unknown cost
    """
    tokens = [LengthRegression.constant(len(arms), value) for value in (0.0, PRIOR_COMPLETION_TOKENS)]
    prompt = msgspec.structs.replace(
        tokens[0], coefficients=[[4.0, 0.0, 1000 / PRIOR_BYTES_PER_TOKEN]] * len(arms)
    )
    return TokenCostModel(
        CostFit(
            arms=tuple(arms),
            observed=LengthRegression.unknown(len(arms)),
            prompt_tokens=prompt,
            completion_tokens=tokens[1],
            seconds=LengthRegression.constant(len(arms), PRIOR_COMPLETION_TOKENS / PRIOR_TOKENS_PER_S),
        ),
        prices,
    )


def load_cost_model(
    directory: Path, prices: Mapping[str, Price] | None = None
) -> TokenCostModel | ObservedCostModel:
    """The cost model saved beside a router.

    Raises
    ------
    ArtefactError
        If there is none or it is damaged.
    """
    return _model(read_fit(Path(directory) / FILE, CostFit), prices)


def _model(fit: CostFit, prices: Mapping[str, Price] | None) -> TokenCostModel | ObservedCostModel:
    has_tokens = any(
        row is not None for row in (*fit.completion_tokens.coefficients, *fit.seconds.coefficients)
    )
    return TokenCostModel(fit, prices) if has_tokens else ObservedCostModel(fit)


def _usd(amounts: Sequence[object], unit: float) -> FloatArray:
    """(K,), NaN where unknown."""
    return np.array([np.nan if amount is None else float(str(amount)) * unit for amount in amounts])
