"""The price as a dual variable: up after a query that was too dear, down after a cheap one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from suffice.budgets.bound import price_of
from suffice.budgets.pacing.base import Pacer, Unit
from suffice.types import BoolArray, FloatArray

_START: Final = 0.1
"""lam before anything is known: a budget's worth of cost weighs as much as a tenth of a right answer."""


class Dual(Pacer):
    """Primal-dual pacing: lam <- lam x exp(step x (c / target - 1)), the price being lam / target.

    The multiplicative form finds prices of any size. Its step is controlled as in AdaGrad, `rate` divided
    by the root of the mean of the squared gradients: a call that costs hundreds of targets, in a panel whose
    prices lie that far apart, then moves the price by as much as many small ones. The target is what is left
    per query, so that money that was saved is spent; the sources keep B.

    References
    ----------
    Agrawal and Devanur (2014), Bandits with Concave Rewards and Convex Knapsacks, section 5.
    Balseiro and Gur (2019), Learning in Repeated Auctions with Budgets, section 3: adaptive pacing.
    Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods.
    """

    name: ClassVar[str] = "dual"

    def __init__(
        self,
        *,
        budget_usd: float,
        horizon: float,
        unit: Unit = "queries",
        rate: float = 0.05,
        most: float = 1e3,
    ) -> None:
        """
        Parameters
        ----------
        rate : of the steps, above 0: how far a typical query moves ln(lam)
        most : lam's upper end; the lower is 1e-6
        """
        super().__init__(budget_usd=budget_usd, horizon=horizon, unit=unit)
        if not rate > 0 or not most > 1e-6:
            raise ValueError(f"rate={rate}, most={most}: expected rate > 0 and most > 1e-6")
        self.rate, self.most = rate, most
        self.lam, self._squares = _START, 1.0

    def _warm(self, rewards: FloatArray, costs: FloatArray) -> None:
        if len(rewards):
            price = price_of(rewards, costs, self.target_usd)
            self.lam = min(max(price * self.target_usd, 1e-6), self.most)

    def _price(self, rewards: FloatArray, costs: FloatArray) -> float:
        target = self.target_usd
        return self.lam / target if target > 0 else 1e30

    def _paid(self, cost_usd: float, target_usd: float) -> None:
        if target_usd <= 0:
            return
        gradient = cost_usd / target_usd - 1
        self._squares += (gradient * gradient - self._squares) / min(self.n_queries + 1, 200)
        step = self.rate * gradient / math.sqrt(max(self._squares, 1e-12))
        self.lam = min(max(self.lam * math.exp(max(-1.0, min(1.0, step))), 1e-6), self.most)

    def _state(self) -> dict[str, Any]:
        return {"lam": self.lam, "squares": self._squares}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.lam, self._squares = float(state["lam"]), float(state["squares"])


class Duals:
    """A vector of duals, for queries that fall under several budgets: a team's, a key's, everybody's.

    The penalty is sum_j lam_j c / B_j over the budgets j of a query, and an arm is allowed where every one of
    them allows it. The duals shape quality; the cap of each holds by itself.
    """

    def __init__(self, pacers: Mapping[str, Dual]) -> None:
        """
        Parameters
        ----------
        pacers : by the budget's name, at least one
        """
        if not pacers:
            raise ValueError("no budget is given; at least one is needed")
        self.pacers = dict(pacers)

    def price(self, names: Iterable[str], rewards: FloatArray, costs: FloatArray, now: float = 0.0) -> float:
        """Reward per USD for a query (K,) under these budgets."""
        return sum(pacer.price(rewards, costs, now) for pacer in self._of(names))

    def allowed(
        self,
        names: Iterable[str],
        rewards: FloatArray,
        costs: FloatArray,
        at_most: FloatArray | None = None,
    ) -> BoolArray:
        """(K,): arms that fit in all of them.

        Near the end of one, where each would leave its own cheapest arm alone, that may be none: refuse.
        """
        masks = [pacer.allowed(rewards, costs, at_most) for pacer in self._of(names)]
        return np.asarray(np.logical_and.reduce(masks))

    def paid(self, names: Iterable[str], cost_usd: float) -> None:
        """The query is over, and every budget that it fell under pays."""
        for pacer in self._of(names):
            pacer.paid(cost_usd)

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: pacer.state() for name, pacer in self.pacers.items()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """The reverse of `state`; budgets that it does not name stay as they are."""
        for name in state.keys() & self.pacers.keys():
            self.pacers[name].restore(state[name])
        return self

    def _of(self, names: Iterable[str]) -> list[Dual]:
        """One for each different name.

        Raises
        ------
        ValueError
            If there is no such budget, or none is named.
        """
        found = list(dict.fromkeys(names))
        unknown = [name for name in found if name not in self.pacers]
        if unknown or not found:
            raise ValueError(f"no budget {', '.join(unknown) or 'named'}; known: {', '.join(self.pacers)}")
        return [self.pacers[name] for name in found]
