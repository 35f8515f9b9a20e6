"""A bandit between the router's scores and the decision."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Final

import numpy as np

from suffice.bandits import BaseBandit, Pull
from suffice.errors import ConfigError
from suffice.plans.learning.pace import Bills, Pace
from suffice.plans.learning.sight import Sight
from suffice.policies.base import usd
from suffice.protocols import PolicyContext
from suffice.types import Choice, FloatArray, IntArray, Learnable, Query

MOST_WAITING: Final = 5_000
"""Pulls whose reward the bandit waits for at once: beyond, widths do not shrink before rewards come."""
_ALL: Final = 1e9
"""Reward per USD from which on nothing but the cost counts."""


class Online:
    """Believes the router until feedback says otherwise.

    The bandit learns by how much rewards differ from the router's scores: 0.5 + (reward - score) / 2, in
    [0, 1]. Where nothing was learnt an arm is worth its score, all have the same width, and the choice is
    what the policy `utility` would make of the scores, but for exploration. Decisions change nothing: what
    was decided counts once there is a record.
    """

    def __init__(
        self,
        name: str,
        arms: Sequence[str],
        bandit: BaseBandit,
        sight: Sight,
        *,
        value_usd: float = math.inf,
        pace: Pace | None = None,
    ) -> None:
        """
        Parameters
        ----------
        name : of the pipeline
        arms : what it scores
        value_usd : what a reward of 1 is worth, where there is no pace
        """
        self.name, self.arms, self.sight = name, tuple(arms), sight
        self.pace, self._price = pace, 1 / value_usd
        self.bills = Bills()
        self.lock = threading.Lock()
        self.use(bandit)

    def use(self, bandit: BaseBandit) -> None:
        """Decide by this bandit, which has the same arms in any order.

        Raises
        ------
        ConfigError
            If it has others.
        """
        if sorted(bandit.arms) != sorted(self.arms):
            raise ConfigError(f"a bandit of {', '.join(bandit.arms)} for {', '.join(self.arms)}")
        self.bandit = bandit
        self._places: IntArray = np.array([self.arms.index(arm) for arm in bandit.arms], np.intp)

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All (n, P) in the order of `arms`; latencies play no part.

        Raises
        ------
        ConfigError
            If the queries are not told, or the plans are others.
        BudgetExceeded
            If the day's money is gone.
        """
        if len(context.queries) != len(scores) or context.arms != self.arms:
            raise ConfigError(f"the policy of {self.name!r} needs the queries, and {', '.join(self.arms)}")
        found = [
            self._one(query, scores[row], costs[row], None if context.eligible is None else
                      context.eligible[row], context.now or 0.0)
            for row, query in enumerate(context.queries)
        ]  # fmt: skip
        rankings, propensities, reasons, learnable = zip(*found, strict=True)
        return Choice(
            ranking=np.array(rankings),
            propensities=np.array(propensities),
            reasons=reasons,
            learnable=learnable,
        )

    def _one(
        self, query: Query, scores: FloatArray, costs: FloatArray, eligible: FloatArray | None, now: float
    ) -> tuple[IntArray, FloatArray, str, Learnable]:
        offset = believed(scores)
        x = self.sight(query, float(offset.mean()))
        may = np.ones(len(scores), bool) if eligible is None else np.array(eligible, bool)
        with self.lock:
            gain, width = np.zeros(len(scores)), np.zeros(len(scores))
            gain[self._places], width[self._places] = self.bandit.rewards(x)
            mean = np.clip(offset + 2 * (gain - 0.5), 0.0, 1.0)
            costs = costs * self.bills.factors(self.arms)
            price, allowed = self._price, may
            if self.pace is not None:
                open_costs = np.where(may, costs, np.nan)
                price, allowed = self.pace.terms(mean + 2 * width, open_costs, now)
            dear = price * _filled(costs)
            penalty = (dear - offset)[self._places] / 2
            place, chances = self.bandit.choose(x, penalty, allowed[self._places])
            version = self.bandit.version
        first = int(self._places[place])
        propensities = np.zeros(len(scores))
        propensities[self._places] = chances
        worth = np.where(may, mean - dear, -np.inf)
        worth[first] = np.inf
        rate = "the cheapest, as money is short" if price > _ALL else f"at {price:.3g} per USD"
        reason = (
            f"{self.arms[first]}: {mean[first]:.3f} expected after {version} rewards (router "
            f"{offset[first]:.3f}), {usd(costs[first])} {rate}; had a chance of {chances[place]:.2g}"
        )
        seen = Learnable(learner=self.name, version=version, x=x.tobytes())
        return np.argsort(-worth, kind="stable"), propensities, reason, seen

    def wait(self, pull: Pull, arm: str) -> None:
        """Somebody was asked: the arm's width shrinks. To be called with `lock` held."""
        if arm in self.arms and self.bandit.n_waiting < MOST_WAITING and not self.bandit.waits_for(pull.id):
            self.bandit.adopt(pull)


def believed(scores: FloatArray) -> FloatArray:
    """(P,) in [0, 1]: scores, unknown ones as the mean of the others, or one half."""
    known = ~np.isnan(scores)
    middle = float(scores[known].mean()) if known.any() else 0.5
    return np.clip(np.where(known, scores, middle), 0.0, 1.0)


def _filled(costs: FloatArray) -> FloatArray:
    """Unknown costs as the highest known."""
    known = ~np.isnan(costs)
    return np.where(known, costs, float(costs[known].max()) if known.any() else 0.0)
