"""What pacers share: the money and the queries that are left, the hard cap, and their state as JSON.

A pacer turns a budget into a **price**, reward per USD: an arm is worth its reward - price x cost. How good
and how dear arms are it is told; what they really cost it is told afterwards; the time is passed in.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np

from suffice.types import BoolArray, FloatArray

Unit = Literal["queries", "seconds"]

MIN_QUERIES: Final = 1.0
"""So many are to come at least: the last query is not free to spend what it likes."""


class Pacer(ABC):
    """Spends a budget evenly over a stream of queries. For each query, in this order:

    1. `price(rewards, costs)`, which also notes what the choice was;
    2. `allowed(rewards, costs)`: the arms that the rule and the hard cap leave;
    3. a choice by `pick`, or by a bandit that is given price and arms;
    4. `paid(cost)`: what it really cost, 0 if it was refused.
    """

    name: ClassVar[str]

    def __init__(self, *, budget_usd: float, horizon: float, unit: Unit = "queries") -> None:
        """
        Parameters
        ----------
        budget_usd : for the whole horizon, above 0
        horizon : how long the budget must last, above 0: a number of queries, or seconds
        unit : of the horizon; with seconds, the queries to come are estimated from those that came

        Raises
        ------
        ValueError
            If a number is not above 0 and finite.
        """
        for what, value in (("budget_usd", budget_usd), ("horizon", horizon)):
            if not 0 < value < math.inf:
                raise ValueError(f"{what} is {value}; expected a number above 0")
        if unit not in ("queries", "seconds"):
            raise ValueError(f"unit is {unit!r}; expected queries or seconds")
        self.budget_usd, self.horizon, self.unit = float(budget_usd), float(horizon), unit
        self.spent_usd, self.n_queries = 0.0, 0
        self._began: float | None = None
        self._now = 0.0
        self._cheapest = 0.0  # mean cost of the cheapest arms seen

    @property
    def left_usd(self) -> float:
        """Never below 0."""
        return max(0.0, self.budget_usd - self.spent_usd)

    @property
    def queries_left(self) -> float:
        """This one included."""
        if self.unit == "queries":
            return max(MIN_QUERIES, self.horizon - self.n_queries)
        elapsed = max(0.0, self._now - (self._now if self._began is None else self._began))
        if elapsed <= 0:
            return max(MIN_QUERIES, self.horizon)  # one a second, until it is known better
        rate = (self.n_queries + 1) / elapsed
        return max(MIN_QUERIES, rate * max(0.0, self.horizon - elapsed))

    @property
    def target_usd(self) -> float:
        """What a query may cost from now on, in the mean."""
        return self.left_usd / self.queries_left

    @property
    def room_usd(self) -> float:
        """What this query may take so that each later one can be sent to the cheapest arm; may be below 0."""
        return self.left_usd - (self.queries_left - 1) * self._cheapest

    def warm(self, rewards: FloatArray, costs: FloatArray) -> Self:
        """Learn from queries of the past, (n, K) as they are expected, before the first of the stream."""
        known = np.nanmin(costs, axis=1) if np.size(costs) else np.empty(0)
        if known.size:
            self._cheapest = float(known.mean())
        self._warm(np.asarray(rewards, np.float64), np.asarray(costs, np.float64))
        return self

    def price(self, rewards: FloatArray, costs: FloatArray, now: float = 0.0) -> float:
        """Reward per USD for this query, at least 0.

        Parameters
        ----------
        rewards, costs : (K,), as the choice will see them; NaN: not to be had
        now : seconds; a clock that goes back stands still
        """
        self._now = now if self._began is None else max(self._now, now)
        self._began = now if self._began is None else self._began
        cheapest = float(np.nanmin(costs)) if not np.isnan(costs).all() else 0.0
        weight = max(0.02, 1 / (self.n_queries + 1)) if not self._cheapest else 0.02
        self._cheapest += weight * (cheapest - self._cheapest)
        return max(0.0, self._price(rewards, costs))

    def allowed(self, rewards: FloatArray, costs: FloatArray, at_most: FloatArray | None = None) -> BoolArray:
        """(K,): the arms that fit; none at all means to refuse the query.

        An arm fits if what it may cost at most leaves enough to send each later query to the cheapest;
        if none does, the cheapest fits that the money left pays for.

        Parameters
        ----------
        at_most : (K,) USD that the arms cost at most, as a reservation would be; None: `costs`
        """
        bound = np.asarray(costs if at_most is None else at_most, np.float64)
        fits: BoolArray = bound <= self.room_usd
        if fits.any():
            return self._allowed(rewards, costs, fits)
        fits = bound <= self.left_usd
        if not fits.any():
            return fits
        only = np.zeros_like(fits)
        only[int(np.argmin(np.where(fits, bound, np.inf)))] = True
        return only

    def paid(self, cost_usd: float) -> None:
        """The query is over.

        Raises
        ------
        ValueError
            If the cost is negative or unknown; nothing is booked then.
        """
        if not 0 <= cost_usd < math.inf:
            raise ValueError(f"a cost of {cost_usd} USD was paid; expected at least 0")
        target, is_within = self.target_usd, cost_usd <= self.left_usd
        self.spent_usd += cost_usd
        if is_within:  # also after rounding
            self.spent_usd = min(self.spent_usd, self.budget_usd)
        self.n_queries += 1
        self._paid(cost_usd, target)

    def state(self) -> dict[str, Any]:
        """All of it as JSON values, to go on after a restart."""
        shared = {
            "name": self.name,
            "spent_usd": self.spent_usd,
            "n_queries": self.n_queries,
            "began": self._began,
            "now": self._now,
            "cheapest": self._cheapest,
        }
        return shared | self._state()

    def restore(self, state: Mapping[str, Any]) -> Self:
        """The reverse of `state`, on a pacer made with the same parameters.

        Raises
        ------
        ValueError
            If it is the state of another pacer, or not one.
        """
        if state.get("name") != self.name:
            raise ValueError(f"this is a state of {state.get('name')!r}; {self.name!r} is needed")
        try:
            self.spent_usd, self.n_queries = float(state["spent_usd"]), int(state["n_queries"])
            self._began, self._now = state["began"], float(state["now"])
            self._cheapest = float(state["cheapest"])
            self._restore(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no state of {self.name!r}: {error!r}") from error
        return self

    def _warm(self, rewards: FloatArray, costs: FloatArray) -> None:  # noqa: B027  not all learn
        """Of n >= 0 past queries."""

    @abstractmethod
    def _price(self, rewards: FloatArray, costs: FloatArray) -> float: ...

    def _allowed(self, rewards: FloatArray, costs: FloatArray, fits: BoolArray) -> BoolArray:
        """Those of the arms that fit that the rule lets through; at least one."""
        return fits

    def _paid(self, cost_usd: float, target_usd: float) -> None:  # noqa: B027  not all learn
        """`target_usd` is what it might have cost."""

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027  not all have more
        """Of what `_state` adds."""


def pick(rewards: FloatArray, costs: FloatArray, price: float, allowed: BoolArray) -> int | None:
    """The allowed arm of the highest reward - price x cost, the cheaper of equals; None if there is none."""
    values = np.where(allowed & ~np.isnan(rewards) & ~np.isnan(costs), rewards - price * costs, -np.inf)
    if np.isneginf(values).all():
        return None
    best = values >= values.max()
    return int(np.argmin(np.where(best, costs, np.inf)))
