"""Policies on recorded outcomes as if they came one by one: what they learn, spend and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from suffice import bandits, routers
from suffice.budgets import pacing as pacers
from suffice.errors import ConfigError, DataError, UnknownName
from suffice.evaluation.fitting import fitted, scores_of
from suffice.evaluation.leaks import n_seen
from suffice.evaluation.replay.bandit import BanditPlayer, is_bandit, names_of_bandits
from suffice.evaluation.replay.contexts import contexts
from suffice.evaluation.replay.costs import CostLearner
from suffice.evaluation.replay.play import Played, Player, Terms, play
from suffice.evaluation.replay.players import Scored
from suffice.evaluation.replay.report import Replay, report
from suffice.evaluation.replay.scenarios import newcomer
from suffice.evaluation.replay.scenarios import scenario as scenario_of
from suffice.evaluation.replay.stream import Stream
from suffice.evaluation.selection import has_costs, is_complete, select_models
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.types import FloatArray

TRUTH: Final = "truth"
"""The policy that knows all rewards: what is lost then, pacing and predicted costs lose."""
_N_HISTORY: Final = 300


def replay_policy(
    data: Outcomes,
    warm: Outcomes | None = None,
    *,
    policy: str,
    budget_usd: float,
    params: Mapping[str, Any] | None = None,
    n_seeds: int = 10,
    pacing: str = "resolve",
    pacing_params: Mapping[str, Any] | None = None,
    feedback_rate: float = 1.0,
    delay: int = 0,
    feedback: Literal["bandit", "full"] = "bandit",
    scenario: str = "none",
    models: Sequence[str] | None = None,
    embedder: Embedder | None = None,
    on_plan: Callable[[int], None] = lambda n_steps: None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Replay:
    """Play a policy on the queries of `data`, in as many random orders as there are seeds.

    The policy sees a query's text, predicted costs and the money that is left; then the reward of the arm
    that it chose, if feedback comes. True costs are paid, and never more than the budget.

    Parameters
    ----------
    data : the stream; queries without a score and a cost of every arm are left out
    warm : what is known beforehand, of other queries: rewards and costs of all arms. None starts cold
    policy : a bandit (`suffice.bandits`), a router, which is trained on `warm` and does not learn on, or
        "truth", which knows the rewards
    budget_usd : USD per query, above 0; the whole stream may cost that times its length
    params : of the policy
    n_seeds : orders of the stream, from 1
    pacing : a pacer (`suffice.budgets.pacing`); `pacing_params` are its parameters
    feedback_rate : share of answers whose reward is told, in [0, 1]
    delay : queries until it is told
    feedback : "full" tells the rewards of all arms
    scenario : see `scenarios.SCENARIOS`
    models : the arms; None takes those with score and cost on 95 % of the queries of `warm`, or of `data`
    embedder : of contexts and routers; None is the default
    on_plan, on_step : told how many steps there will be, and each that is done

    Raises
    ------
    DataError
        Without costs, complete queries or common models, or if the warm data hold all queries of the stream.
    ConfigError
        If a number is out of range, or the policy does not take its parameters or needs warm data.
    UnknownName
        If there is no such policy, pacer or scenario.
    """
    _check(budget_usd, n_seeds, feedback_rate, delay, feedback)
    happens, params = scenario_of(scenario), dict(params or {})
    pacers.registry.check(pacing, pacing_params or {}, hidden=("budget_usd", "horizon", "unit"))
    _check_policy(policy, params, warm)
    data, warm = _ground(data, warm, models)
    n_shared = 0 if warm is None else _shared(data, warm)
    on_plan(n_seeds + 1)
    base = Stream.of(data.arms, np.zeros((data.n_queries, 1), np.float32), data.quality, data.cost_usd)
    late = newcomer(scenario, base, budget_usd)
    known = None if warm is None else warm.select(arms=[arm for arm in warm.arms if arm != late])
    seen, past, scored = contexts(data, known, embedder)
    base = Stream.of(data.arms, seen, data.quality, data.cost_usd)
    table = _table(policy, params, data, warm, embedder)
    on_step(f"{policy} on {len(base)} queries")
    terms = Terms(rate=feedback_rate, delay=delay, shows_all=feedback == "full")
    played, bounds = [], []
    for seed in range(n_seeds):
        stream = happens(base.shuffled(seed), budget_usd)
        side = _Side(policy, params, warm, past, table, scored, seed)
        pacer = pacers.create(
            pacing, budget_usd=budget_usd * len(stream), horizon=float(len(stream)), **(pacing_params or {})
        )
        played.append(side.play(stream, pacer, terms))
        bounds.append(stream.bound(budget_usd))
        on_step(f"seed {seed + 1} of {n_seeds}")
    return report(
        played,
        bounds,
        policy=policy,
        pacing=pacing,
        scenario=scenario,
        budget_usd=budget_usd,
        arms=data.arms,
        n_shared=n_shared,
    )


class _Side:
    """A policy, ready for one order of the stream."""

    def __init__(
        self,
        policy: str,
        params: Mapping[str, Any],
        warm: Outcomes | None,
        past: NDArray[np.float32] | None,
        table: FloatArray | None,
        scored: tuple[str, ...],
        seed: int,
    ) -> None:
        self.policy, self.params, self.warm, self.past = policy, params, warm, past
        self.table, self.scored, self.seed = table, scored, seed

    def play(self, stream: Stream, pacer: pacers.Pacer, terms: Terms) -> Played:
        costs = CostLearner(
            len(stream.arms), stream.contexts.shape[1], unknown_usd=pacer.budget_usd / pacer.horizon / 2
        )
        rng = np.random.default_rng((self.seed, 1))
        known = stream.available[0] if self.warm is None else self._known(stream)
        order = rng.permutation(0 if self.past is None else len(self.past))
        player = self._player(stream, known, order)
        if self.warm is not None and self.past is not None:
            for row in order:
                for arm in np.flatnonzero(known):
                    costs.learn(self.past[row], int(arm), float(self.warm.cost_usd[row, arm]))
            self._tell(pacer, player, costs, known, order[:_N_HISTORY])
        return play(stream, player, pacer, costs, terms, rng)

    def _known(self, stream: Stream) -> Any:
        """(K,): arms that are there from the start; warm data of later ones are not looked at."""
        ever = stream.available.any(axis=0)
        first = np.argmax(stream.available, axis=0)
        return ever & (first == 0)

    def _player(self, stream: Stream, known: Any, order: Any) -> Player:
        if self.table is not None:
            return Scored(np.where(known, self.table[stream.rows], np.nan))
        if self.policy == TRUTH:
            return Scored(stream.rewards)
        player = BanditPlayer(self.policy, self.params, stream, known, self.seed)
        if self.warm is not None and self.past is not None:
            player.warm(self.past[order], self.warm.quality[order], self.scored)
        return player

    def _tell(self, pacer: pacers.Pacer, player: Player, costs: CostLearner, known: Any, rows: Any) -> None:
        """Past queries for the pacer, as the player and the cost model see them now."""
        assert self.past is not None and self.warm is not None
        if isinstance(player, BanditPlayer):
            rewards = np.stack([player.scores_of(self.past[row]) for row in rows])
        elif self.policy == TRUTH:
            rewards = self.warm.quality[rows]
        else:
            return
        expected = costs.predictions(self.past[rows])
        pacer.warm(np.where(known, rewards, np.nan), np.where(known, expected, np.nan))


def _table(
    policy: str,
    params: Mapping[str, Any],
    data: Outcomes,
    warm: Outcomes | None,
    embedder: Embedder | None,
) -> FloatArray | None:
    """(n, K) scores of a router on the stream; None of other policies."""
    if policy == TRUTH or is_bandit(policy):
        return None
    assert warm is not None
    router, _ = fitted(policy, warm, params, embedder=embedder)
    return scores_of(router, data.queries, data.arms)


def _check(budget_usd: float, n_seeds: int, rate: float, delay: int, feedback: str) -> None:
    if not 0 < budget_usd < np.inf:
        raise ConfigError(f"the budget is {budget_usd:g} USD per query; a number above 0 is needed")
    if n_seeds < 1 or delay < 0:
        raise ConfigError(f"seeds={n_seeds}, delay={delay}: at least 1 and at least 0 are needed")
    if not 0 <= rate <= 1:
        raise ConfigError(f"the feedback rate is {rate:g}; a share from 0 to 1 is needed")
    if feedback not in ("bandit", "full"):
        raise ConfigError(f"feedback is {feedback!r}; bandit or full is needed")


def _check_policy(policy: str, params: Mapping[str, Any], warm: Outcomes | None) -> None:
    if policy == TRUTH:
        if params:
            raise ConfigError(f"the policy {TRUTH!r} takes no parameters")
        return
    if is_bandit(policy):
        bandits.registry.check(policy, params, hidden=("arms", "d"))
        return
    if policy not in routers.available() and ".py:" not in policy:
        raise UnknownName("policy", policy, (TRUTH, *names_of_bandits(), *routers.available()))
    if warm is None:
        raise ConfigError(
            f"{policy!r} is a router, which is trained before the stream: give it warm data (--warm), "
            f"or take a policy that learns on the way: {', '.join(names_of_bandits())}"
        )
    routers.registry.check(policy, params, hidden=("embedder",))


def _ground(
    data: Outcomes, warm: Outcomes | None, models: Sequence[str] | None
) -> tuple[Outcomes, Outcomes | None]:
    """Complete queries of the models that are played with."""
    for what, table in (("stream", data), ("warm", warm)):
        if table is not None and not has_costs(table):
            raise DataError(
                f"the {what} data have no costs, and a budget needs them: a column cost_usd, or token counts "
                "and --prices"
            )
    if warm is not None and models is None and set(warm.arms) != set(data.arms):
        raise DataError(
            f"the warm data are about {', '.join(sorted(warm.arms))}, the stream about "
            f"{', '.join(sorted(data.arms))}: name common models with --models"
        )
    names, _ = select_models(data if warm is None else warm, models)
    missing = [name for name in names if name not in data.arms]
    if missing:
        raise DataError(f"the stream has no {', '.join(missing)}: name the common models with --models")
    return _complete(data, names, "stream"), None if warm is None else _complete(warm, names, "warm")


def _shared(data: Outcomes, warm: Outcomes) -> int:
    """Queries of the stream that the warm data hold too."""
    n = n_seen(warm, data)
    if n == data.n_queries:
        raise DataError(
            f"the warm data hold all {n} queries of the stream, which would be known beforehand; give others"
        )
    return n


def _complete(table: Outcomes, names: Sequence[str], what: str) -> Outcomes:
    chosen = table.select(arms=names)
    complete = is_complete(chosen, costs=True)
    if not complete.any():
        raise DataError(
            f"none of {table.n_queries} {what} queries has a score and a cost of all {len(names)} models: "
            "name fewer with --models"
        )
    return chosen.select(rows=complete)
