"""Replays: what is paid, told and refused; scenarios; the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from suffice import bandits
from suffice.budgets import pacing
from suffice.cli import replay as replay_command
from suffice.errors import ConfigError, DataError, UnknownName
from suffice.evaluation import Replay, replay_policy
from suffice.evaluation.replay import SCENARIOS, Stream, Terms, play
from suffice.evaluation.replay.contexts import contexts
from suffice.evaluation.replay.costs import CostLearner
from suffice.evaluation.replay.players import Scored
from suffice.evaluation.replay.report import report
from suffice.outcomes import Outcomes
from suffice.types import BoolArray, FloatArray, Query

MODELS = ("small", "medium", "large")
WORDS = ("add sum number plus minus", "poem rhyme verse stanza line", "code loop function array return")


def outcomes(
    n: int = 150, *, start: int = 0, costs: bool = True, models: tuple[str, ...] = MODELS
) -> Outcomes:
    """The small model can do sums, the medium one sums and poems, the large one most things."""
    rng = np.random.default_rng(start)
    topics = rng.integers(0, 3, n)
    chance = np.array([[0.9, 0.2, 0.1], [0.9, 0.9, 0.2], [0.9, 0.9, 0.9]]).T[topics]
    quality = (rng.random((n, 3)) < chance).astype(float)
    texts = [
        " ".join(rng.choice(WORDS[topic].split(), 6)) + f" {start + i}" for i, topic in enumerate(topics)
    ]
    usd = np.array([1e-5, 1e-4, 1e-3]) * rng.uniform(0.5, 2, (n, 3)) if costs else None
    queries = [Query(text=text, id=str(start + i)) for i, text in enumerate(texts)]
    return Outcomes.from_arrays(queries, models, quality, cost_usd=usd)


@pytest.fixture(scope="module")
def warm() -> Outcomes:
    return outcomes(120, start=1000)


@pytest.fixture(scope="module")
def data() -> Outcomes:
    return outcomes()


class Noted:
    """A player that notes what it is told, and always wants one arm."""

    def __init__(self, n_arms: int, wanted: int) -> None:
        self.n_arms, self.wanted, self.t = n_arms, wanted, 0
        self.heard: list[tuple[int, int, int, float]] = []
        self.met: list[int] = []

    def scores(self, t: int) -> FloatArray:
        self.t = t
        return np.eye(self.n_arms)[self.wanted]

    def choose(self, t: int, costs: FloatArray, allowed: BoolArray, price: float) -> int:
        return self.wanted if allowed[self.wanted] else int(np.argmax(allowed))

    def learn(self, t: int, arm: int, reward: float) -> None:
        self.heard.append((self.t, t, arm, reward))

    def appears(self, arm: int) -> None:
        self.met.append(arm)


def game(stream: Stream, player: Any, terms: Terms | None = None, budget: float = 10.0) -> Any:
    """Costs are known as they are at first."""
    pacer = pacing.create("resolve", budget_usd=budget, horizon=float(len(stream)))
    costs = CostLearner(len(stream.arms), 1, unknown_usd=0.05)
    for arm, cost in enumerate(stream.costs[0]):
        costs.learn(stream.contexts[0], arm, float(cost))
    return play(stream, player, pacer, costs, terms or Terms(), np.random.default_rng(0))


def stream_of(n: int, costs: list[float]) -> Stream:
    k = len(costs)
    rewards = np.random.default_rng(1).random((n, k))
    names = tuple("abcdef"[:k])
    return Stream.of(names, np.ones((n, 1), np.float32), rewards, np.tile(costs, (n, 1)))


class TestPlay:
    def test_only_the_chosen_arm_is_told_after_the_delay(self) -> None:
        stream, player = stream_of(20, [0.1, 0.2]), Noted(2, 1)
        found = game(stream, player, Terms(delay=3))
        assert [(now - t, arm) for now, t, arm, _ in player.heard] == [(3, 1)] * 16
        assert [reward for _, t, _, reward in player.heard] == stream.rewards[:16, 1].tolist()
        assert found.spent_usd == pytest.approx(4.0) and found.n_told == 20

    def test_full_information_tells_all(self) -> None:
        player = Noted(2, 0)
        game(stream_of(5, [0.1, 0.2]), player, Terms(shows_all=True))
        assert [(t, arm) for _, t, arm, _ in player.heard[:4]] == [(0, 0), (0, 1), (1, 0), (1, 1)]

    def test_feedback_of_some(self) -> None:
        found = game(stream_of(500, [0.001, 0.002]), Noted(2, 0), Terms(rate=0.3))
        assert 100 < found.n_told < 200
        assert game(stream_of(50, [0.001, 0.002]), Noted(2, 0), Terms(rate=0.0)).n_told == 0

    def test_a_call_leaves_what_later_queries_need(self) -> None:
        """Predicted at 2 cents, it turns out to cost a dollar; the cheap arm answers later queries."""
        stream = stream_of(10, [0.01, 0.02])
        stream.costs[6, 1] = 1.0
        found = game(stream, Noted(2, 1), budget=0.5)
        assert found.n_cut == 1 and found.rewards[6] == 0 and found.spent_usd <= 0.5
        assert found.arms.tolist() == [1] * 7 + [0, 0, -1]  # at most is more than the mean: two fit

    def test_a_call_dearer_than_what_is_left_is_cut_there(self) -> None:
        """Predicted at 1 cent, the last query turns out to cost a dollar: no later one needs anything."""
        stream = stream_of(10, [0.01])
        stream.costs[9] = 1.0
        found = game(stream, Noted(1, 0), budget=0.5)
        assert found.spent_usd == 0.5
        assert found.n_cut == 1
        assert found.rewards[9] == 0

    def test_what_cannot_be_afforded_is_not_asked(self) -> None:
        found = game(stream_of(30, [0.01, 5.0]), Noted(2, 1), budget=1.0)
        assert found.spent_usd <= 1.0
        assert (found.arms == 0).sum() >= 25


class TestCosts:
    def test_learns_what_depends_on_the_context(self) -> None:
        rng = np.random.default_rng(0)
        learner = CostLearner(2, 3, unknown_usd=0.5)
        assert learner.predict(np.ones(3, np.float32))[0].tolist() == [0.5, 0.5]
        xs = np.hstack([rng.standard_normal((400, 2)), np.ones((400, 1))]).astype(np.float32)
        true = np.exp(0.5 * xs[:, 0] - 5 + 0.3 * rng.standard_normal(400))
        for x, cost in zip(xs, true, strict=True):
            learner.learn(x, 0, float(cost))
        found = learner.predictions(xs)
        assert found[:, 0].mean() == pytest.approx(true.mean(), rel=0.1)
        assert np.corrcoef(np.log(found[:, 0]), xs[:, 0])[0, 1] > 0.99
        assert (found[:, 1] == 0.5).all()
        assert learner.predict(xs[0])[1][0] == pytest.approx(min(1.25 * true.max(), 3 * found[0, 0]))

    def test_free_arms_and_outliers(self) -> None:
        learner = CostLearner(1, 1, unknown_usd=1.0)
        one = np.ones(1, np.float32)
        for cost in (0.0, 0.0, 1e-3):
            learner.learn(one, 0, cost)
        assert 0 <= learner.predict(one)[0][0] <= 1e-3


class TestContexts:
    def test_shapes_and_the_constant(self, data: Outcomes, warm: Outcomes) -> None:
        cold, none, no_arms = contexts(data, None)
        assert none is None and no_arms == () and cold.shape == (150, 33)
        seen, past, scored = contexts(data, warm)
        assert scored == MODELS
        assert past is not None and seen.shape[1] == past.shape[1] <= 64
        assert (seen[:, -1] == 1).all() and (past[:, -1] == 1).all()
        assert np.isfinite(seen).all() and np.isfinite(past).all()

    def test_a_warm_querys_own_score_does_not_know_its_outcome(self, warm: Outcomes) -> None:
        """Outcomes by lot: a router that saw them would remember, held-out scores cannot correlate."""
        rng = np.random.default_rng(0)
        luck = Outcomes.from_arrays(warm.queries, MODELS, rng.random((120, 3)), cost_usd=warm.cost_usd)
        _, past, _ = contexts(warm, luck)
        assert past is not None
        assert abs(np.corrcoef(past[:, -2], luck.quality[:, 2])[0, 1]) < 0.3


class TestReplay:
    def test_the_truth_reaches_the_bound_and_a_router_comes_close(
        self, data: Outcomes, warm: Outcomes
    ) -> None:
        truth = replay_policy(data, warm, policy="truth", budget_usd=3e-4, n_seeds=2)
        assert 0.95 < truth.share_of_bound <= 1.0
        routed = replay_policy(data, warm, policy="ridge", budget_usd=3e-4, n_seeds=2)
        lot = replay_policy(data, warm, policy="random", budget_usd=3e-4, n_seeds=2)
        assert lot.quality_mean < routed.quality_mean <= truth.quality_mean
        for found in (truth, routed, lot):
            assert found.overspend == 0
            assert found.cost_per_query <= 3e-4
            assert found.regret_curve[-1].queries == found.n_queries == 150

    @pytest.mark.parametrize("budget", [1e-7, 5e-6, 3e-5, 1e-4, 1.0])
    def test_never_above_the_budget(self, data: Outcomes, budget: float) -> None:
        few = data.select(rows=slice(0, 80))
        for pacer in ("resolve", "dual", "on_mckp", "static"):
            found = replay_policy(few, None, policy="linucb", budget_usd=budget, n_seeds=1, pacing=pacer)
            assert found.overspend == 0
            assert found.cost_per_query * found.n_queries <= budget * found.n_queries
            assert budget > 1e-5 or found.served < 1

    def test_the_same_again(self, data: Outcomes, warm: Outcomes) -> None:
        first, again = (
            replay_policy(data, warm, policy="ridge", budget_usd=1e-4, n_seeds=2, feedback_rate=0.5, delay=7)
            for _ in range(2)
        )
        assert first == again

    @pytest.mark.parametrize("scenario", sorted(SCENARIOS))
    def test_scenarios(self, data: Outcomes, warm: Outcomes, scenario: str) -> None:
        found = replay_policy(data, warm, policy="truth", budget_usd=1e-4, n_seeds=2, scenario=scenario)
        assert found.overspend == 0
        assert 0.85 < found.share_of_bound <= 1.001

    @pytest.mark.parametrize("scenario", ["none", "drift", "outage", "new_model"])
    def test_a_bandit_learns_within_the_budget(self, data: Outcomes, warm: Outcomes, scenario: str) -> None:
        for past in (warm, None):
            found = replay_policy(
                data, past, policy="linucb", budget_usd=2e-4, n_seeds=2, scenario=scenario, delay=5
            )
            assert found.overspend == 0
            assert found.quality_mean > 0.45
            assert found.served > 0.95

    def test_warm_beats_cold_and_feedback_beats_none(self, data: Outcomes, warm: Outcomes) -> None:
        known = replay_policy(data, warm, policy="pilot", budget_usd=2e-4, n_seeds=2)
        cold = replay_policy(data, None, policy="pilot", budget_usd=2e-4, n_seeds=2)
        deaf = replay_policy(data, None, policy="pilot", budget_usd=2e-4, n_seeds=2, feedback_rate=0.0)
        shown = replay_policy(data, None, policy="pilot", budget_usd=2e-4, n_seeds=2, feedback="full")
        assert known.quality_mean > cold.quality_mean > deaf.quality_mean
        assert shown.quality_mean > deaf.quality_mean

    @pytest.mark.parametrize("policy", bandits.available())
    def test_every_bandit_plays(self, data: Outcomes, policy: str) -> None:
        few = data.select(rows=slice(0, 40))
        found = replay_policy(few, None, policy=policy, budget_usd=1e-3, n_seeds=1, feedback="full", delay=2)
        assert found.overspend == 0 and found.feedback == 1

    def test_incomplete_queries_are_left_out(self, data: Outcomes, warm: Outcomes) -> None:
        quality = data.quality.copy()
        quality[:10, 1] = np.nan
        table = Outcomes.from_arrays(data.queries, MODELS, quality, cost_usd=data.cost_usd)
        assert replay_policy(table, warm, policy="truth", budget_usd=1e-3, n_seeds=1).n_queries == 140

    def test_errors(self, data: Outcomes, warm: Outcomes) -> None:
        def fails(error: type[Exception], match: str, *args: Outcomes, **changed: Any) -> None:
            with pytest.raises(error, match=match):
                replay_policy(*(args or (data, warm)), **{"policy": "ridge", "budget_usd": 1e-3, **changed})

        fails(ConfigError, "above 0", budget_usd=-1.0)
        fails(ConfigError, "above 0", budget_usd=0.0)
        fails(ConfigError, "above 0", budget_usd=float("nan"))
        fails(UnknownName, "no policy is called 'magic'", policy="magic")
        fails(UnknownName, "no pacing", pacing="hope")
        fails(UnknownName, "no scenario", scenario="flood")
        fails(ConfigError, "feedback rate", feedback_rate=1.5)
        fails(ConfigError, "seeds=0", n_seeds=0)
        fails(ConfigError, "warm data", data)
        fails(ConfigError, "unknown parameter", policy="pilot", params={"nonsense": 1})
        fails(ConfigError, "no parameters", policy="truth", params={"x": 1})
        fails(ConfigError, "unknown parameter", params={"nonsense": 1})
        fails(DataError, "no costs", outcomes(costs=False), warm)
        fails(DataError, "warm data have no costs", data, outcomes(costs=False))
        fails(DataError, "hold all 150 queries", data, data)
        both = outcomes().select(rows=slice(0, 30))
        assert (
            replay_policy(
                data, both, policy="fixed", params={"model": "large"}, budget_usd=1e-3, n_seeds=1
            ).n_shared
            == 30
        )
        fails(DataError, "name common models", data, outcomes(models=("small", "medium", "huge")))

    def test_intervals_by_hand(self) -> None:
        """Student's t with two degrees of freedom."""
        stream = stream_of(4, [0.1])
        played = [game(stream, Noted(1, 0)) for _ in range(3)]
        for one, value in zip(played, (0.4, 0.5, 0.6), strict=True):
            one.rewards[:] = value
        found = report(
            played, [0.5] * 3, policy="p", pacing="resolve", scenario="none", budget_usd=2.5, arms=("a",)
        )
        assert found.quality_mean == pytest.approx(0.5)
        assert found.quality_ci == pytest.approx((0.5 - 4.30265 * 0.1 / 3**0.5, 0.5 + 4.30265 * 0.1 / 3**0.5))
        assert found.share_of_bound == pytest.approx(1.0)


def run(*arguments: object) -> Any:
    app = typer.Typer()
    replay_command.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["replay", *(str(argument) for argument in arguments)])


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path: Path, data: Outcomes, warm: Outcomes) -> tuple[Path, Path]:
        paths = tmp_path / "stream.parquet", tmp_path / "warm.parquet"
        data.write(paths[0])
        warm.write(paths[1])
        return paths

    def test_json_alone(self, files: tuple[Path, Path]) -> None:
        stream, past = files
        found = run(
            "--data",
            stream,
            "--warm",
            past,
            "--policy",
            "ridge",
            "--budget-usd",
            "3e-4",
            "--seeds",
            2,
            "--json",
        )
        assert found.exit_code == 0, found.output
        figures = json.loads(found.stdout)
        wanted = ("quality_mean", "quality_ci", "cost_per_query", "budget", "overspend", "share_of_bound")
        assert set(wanted) < set(figures)
        assert figures["budget"] == 3e-4
        assert figures["quality_ci"] is None  # two orders
        assert figures["regret_curve"][-1]["queries"] == 150

    def test_table(self, files: tuple[Path, Path]) -> None:
        stream, past = files
        found = run(
            "--data",
            stream,
            "--warm",
            past,
            "--policy",
            "fixed",
            "--budget-usd",
            "2e-5",
            "--seeds",
            1,
            "--set",
            "model=large",
            "--scenario",
            "drift",
        )
        assert found.exit_code == 0, found.output
        for words in (
            "share of the bound",
            "overspend",
            "Along the stream",
            "large",
            "scenario drift",
            "no interval",
        ):
            assert words in found.stdout

    def test_a_negative_budget(self, files: tuple[Path, Path]) -> None:
        found = run("--data", files[0], "--policy", "truth", "--budget-usd", "-1")
        assert isinstance(found.exception, ConfigError)


def test_scored_player_takes_the_cheapest_allowed_where_nothing_is_known() -> None:
    player = Scored(np.array([[np.nan, np.nan]]))
    assert player.choose(0, np.array([2.0, 1.0]), np.array([True, True]), 1.0) == 1
    assert player.choose(0, np.array([2.0, 1.0]), np.array([True, False]), 1.0) == 0


def test_a_replay_is_what_reports_read() -> None:
    assert {"quality_mean", "regret_curve", "bound"} <= set(Replay.__struct_fields__)
