"""The query's difficulty is hidden, readings are noisy hints, and every action has a price: a POMDP.

References
----------
Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models, section 3.3: states, an observation
model fitted from data, and a policy found by sweeping the reward. Departures: an episode is at most M answers
long, so the policy is exact, by backward induction over everything that can have been read; any number of
arms, and a later arm may be asked right away; an answer without a reading is not accepted while another arm
can be asked, save where the policy is to believe one arm always and reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from suffice.cascades.automix.states import States, binned, edges_of
from suffice.cascades.automix.values import values_to_try
from suffice.cascades.base import Move, Seen, accept, ask, can_pay, last_spoken
from suffice.cascades.chain import ChainCascade
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.errors import ConfigError
from suffice.types import FloatArray, IntArray, Query

History = tuple[int, ...]
"""By arm: the bin of its reading, -1 where it was not asked."""
Policy = dict[History, int]
"""What to do: ask arm a (a, from 0 on), or accept the answer of arm a (-1 - a)."""
_NOT_ASKED: Final = -1
_MOST_HISTORIES: Final = 100_000


class Pomdp(ChainCascade):
    """Asks on as long as the belief makes it worth its cost.

    Parameters
    ----------
    n_bins : of a reading, at least 1
    """

    name = "automix_pomdp"

    def __init__(
        self, *, signal: str = "verification", arms: Sequence[str] | None = None, n_bins: int = 5
    ) -> None:
        super().__init__(signal=signal, arms=arms)
        if n_bins < 1:
            raise ConfigError(f"n_bins is {n_bins}: at least 1")
        self.n_bins = n_bins

    def _learn(self, table: Recorded, goal: Goal) -> None:
        states = States.fit(table, self.signal, self.n_bins)
        if np.prod([states.n_readings(arm) + 1.0 for arm in range(states.n_arms)]) > _MOST_HISTORIES:
            raise ConfigError(
                f"{states.n_arms} arms with {self.n_bins} bins are too many histories: lower n_bins"
            )
        found = [alone(states, arm) for arm in range(states.n_arms)]
        for value in values_to_try(table, goal):
            policy = reachable(solve(states, value)[0], states)
            if policy not in found:
                found.append(policy)
        bins = [
            binned(table.signal(self.signal)[:, arm], states.edges[arm]) for arm in range(len(states.edges))
        ]
        observed = np.column_stack([*bins, np.zeros(table.n_queries, dtype=np.intp)])
        means = [
            tuple(float(one.mean()) for one in followed(policy, table, self.signal, observed))
            for policy in found
        ]
        quality, cost = np.array(means).T
        self.policy_ = found[goal.best(quality, cost, table)]
        self.states_ = states

    def reads(self, arm: int) -> tuple[str, ...]:
        return self.signals if arm in read_arms(self.policy_) else ()

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        self._check_fitted()
        history = [_NOT_ASKED] * len(self.arms)
        for one in seen:
            history[one.arm] = self.states_.bin(one.arm, self._reading(one))
        action = self.policy_[tuple(history)]
        if action < 0:
            place = next(place for place, one in enumerate(seen) if one.arm == -1 - action)
            return accept(place, "no other answer is worth its cost")
        if seen and not can_pay(query, costs_usd, seen, action):
            return accept(last_spoken(seen), f"{self.arms[action]} would cost more than is allowed")
        return ask(action, f"{self.arms[action]} is worth its cost by what is known")

    def _reading(self, one: Seen) -> float | None:
        return one.readings.get(self.signal)

    def _state(self) -> dict[str, Any]:
        policy = [[list(history), action] for history, action in self.policy_.items()]
        return {"states": self.states_.to_json(), "policy": policy}

    def _restore(self, state: Mapping[str, Any]) -> None:
        content = state["states"]
        arrays = {key: np.array(content[key], np.float64) for key in ("prior", "quality")}
        costs = {key: np.array(content[key], np.float64) for key in ("cost_usd", "reading_cost_usd")}
        observed = tuple(np.array(one, np.float64) for one in content["observed"])
        self.states_ = States(**arrays, **costs, observed=observed, edges=edges_of(content["edges"]))
        rows = msgspec.convert(state["policy"], list[tuple[tuple[int, ...], int]])
        self.policy_ = dict(rows)
        n_arms = len(self.arms)
        if (_NOT_ASKED,) * n_arms not in self.policy_ or self.states_.n_arms != n_arms:
            raise ValueError("the policy does not fit the arms")
        if any(len(history) != n_arms or not -n_arms <= action < n_arms for history, action in rows):
            raise ValueError("the policy has an action that is none")


def solve(states: States, value_usd: float) -> tuple[Policy, float]:
    """The best policy where a fully right answer is worth so much, and what a query is then worth."""
    policy: Policy = {}
    start = (_NOT_ASKED,) * states.n_arms
    return policy, _worth(states, value_usd, start, states.prior, policy)


def _worth(states: States, value_usd: float, history: History, joint: FloatArray, policy: Policy) -> float:
    """Expected value less further cost after `history`, times its probability; notes the best action.

    `joint` (S,) is the probability of every state and that history together: beliefs are never divided by
    their sum, which may be 0.
    """
    mass = float(joint.sum())
    asked = [arm for arm, reading in enumerate(history) if reading != _NOT_ASKED]
    last = asked[-1] if asked else -1
    expected = joint @ states.quality
    best, action = -np.inf, 0
    is_blind = asked and last < states.n_arms - 1 and history[last] == states.n_readings(last) - 1
    if asked and not is_blind:
        answer = max(asked, key=lambda arm: (expected[arm], arm))
        best, action = value_usd * float(expected[answer]), -1 - answer
    for arm in range(last + 1, states.n_arms):
        worth = -mass * float(states.cost_usd[arm] + states.reading_cost_usd[arm])
        for reading in range(states.n_readings(arm)):
            after = (*history[:arm], reading, *history[arm + 1 :])
            worth += _worth(states, value_usd, after, joint * states.likelihood(arm, reading), policy)
        if worth > best:  # equal ones: accept, or ask the earlier arm
            best, action = worth, arm
    policy[history] = action
    return best


def alone(states: States, arm: int) -> Policy:
    """Ask that arm and believe it, whatever could be read."""
    start = (_NOT_ASKED,) * states.n_arms
    after = ((*start[:arm], reading, *start[arm + 1 :]) for reading in range(states.n_readings(arm)))
    return {start: arm, **dict.fromkeys(after, -1 - arm)}


def reachable(policy: Policy, states: States) -> Policy:
    """Only what can come up when the policy is followed."""
    kept: Policy = {}
    waiting = [(_NOT_ASKED,) * states.n_arms]
    while waiting:
        history = waiting.pop()
        action = kept[history] = policy[history]
        if action >= 0:
            readings = range(states.n_readings(action))
            waiting += [(*history[:action], reading, *history[action + 1 :]) for reading in readings]
    return kept


def read_arms(policy: Policy) -> frozenset[int]:
    """Arms whose reading makes a difference; the others' are never taken."""
    found = set()
    for arm in range(len(next(iter(policy)))):
        actions: dict[History, int] = {}
        for history, action in policy.items():
            rest = (*history[:arm], min(history[arm], 0), *history[arm + 1 :])
            if actions.setdefault(rest, action) != action:
                found.add(arm)
    return frozenset(found)


def followed(
    policy: Policy, table: Recorded, signal: str, observed: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Quality and cost (n,) of every query under a policy; `observed` (n, M) holds the bins of readings."""
    quality, cost = np.empty(table.n_queries), np.zeros(table.n_queries)
    read = read_arms(policy)
    kinds, kind_of = np.unique(observed, axis=0, return_inverse=True)
    for kind, bins in enumerate(kinds.tolist()):
        rows = np.flatnonzero(kind_of.ravel() == kind)
        history = (_NOT_ASKED,) * table.n_arms
        while (action := policy[history]) >= 0:
            cost[rows] += table.cost_usd[rows, action]
            if action in read:
                cost[rows] += table.reading_cost_usd[signal][rows, action]
            history = (*history[:action], bins[action], *history[action + 1 :])
        quality[rows] = table.quality[rows, -1 - action]
    return quality, cost
