"""Chains of arms: vectorised fits against the slow loop, hopeless queries, budgets, promises, bad input."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import cascades
from suffice.cascades import Cascade, Move, Recorded, Seen, accept, ask, load_cascade, play
from suffice.cascades.automix import Bayes, DoubleThreshold, Pomdp, SelfConsistency, Threshold
from suffice.cascades.chain import ChainCascade, StepCascade
from suffice.cascades.goal import Goal
from suffice.cascades.repeats import readings_of
from suffice.cascades.stages import NEVER, PASS_OVER, Stage, cuts, outcome
from suffice.cascades.threshold import ConfidenceCascade
from suffice.errors import ArtefactError, ConfigError, DataError, NotFitted, UnknownName
from suffice.outcomes import Outcomes, Runs
from suffice.types import Constraints, FloatArray, Query

SIGNAL = "verification"
KINDS = (Threshold, DoubleThreshold, SelfConsistency, Bayes, Pomdp)


def chain_of(kind: Any, **params: Any) -> ChainCascade:
    found: ChainCascade = kind(**params)
    return found


def every_kind() -> list[ChainCascade]:
    return [*(chain_of(kind) for kind in KINDS), ConfidenceCascade(signal=SIGNAL, calibrator="platt")]


def planted(n: int = 300, n_arms: int = 3, *, seed: int = 0, missing: float = 0.0) -> Recorded:
    """Readings that tell right from wrong fairly well; later arms are better and dearer."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(n)
    quality = (hardness[:, None] < np.linspace(0.45, 0.85, n_arms)).astype(float)
    cost = np.array([1.0, 10.0, 50.0, 200.0])[:n_arms] * rng.uniform(0.8, 1.2, (n, n_arms))
    votes = rng.binomial(8, np.where(quality == 1, 0.8, 0.35)) / 8
    votes[rng.random(votes.shape) < missing] = np.nan
    table = Outcomes.from_arrays(
        [f"question {row}" for row in range(n)],
        ["small", "middle", "large", "huge"][:n_arms],
        quality,
        cost_usd=cost,
        latency_s=rng.random((n, n_arms)),
    )
    paid = np.full((n, n_arms), 0.5)
    return Recorded.of(table, {SIGNAL: votes}, reading_cost_usd={SIGNAL: paid})


def hopeless(n: int = 600, *, seed: int = 0) -> Recorded:
    """Half of what the small model fails nobody solves, and its verifier knows: no vote at all."""
    rng = np.random.default_rng(seed)
    state = rng.choice(3, size=n, p=[0.4, 0.3, 0.3])  # good, needy, hopeless
    quality = np.column_stack([state == 0, state < 2]).astype(float)
    votes = rng.binomial(8, np.array([0.9, 0.5, 0.05])[state]) / 8
    table = Outcomes.from_arrays(
        [f"q{row}" for row in range(n)], ["s", "l"], quality, cost_usd=[[1.0, 20.0]] * n
    )
    return Recorded.of(table, {SIGNAL: np.column_stack([votes, votes])})


@pytest.mark.parametrize("cascade", every_kind(), ids=lambda one: one.name)
@pytest.mark.parametrize("n_arms", [1, 2, 3, 4])
@pytest.mark.parametrize("goal", [{}, {"budget_usd": 20.0}, {"value_usd": 100.0}], ids=str)
def test_fits_saves_and_plays(
    cascade: ChainCascade, n_arms: int, goal: dict[str, float], tmp_path: Path
) -> None:
    table = planted(60, n_arms, missing=0.1)
    cascade.fit(table, **goal)
    assert cascade.arms == table.arms
    first = play(cascade, table)
    if "budget_usd" in goal and not isinstance(cascade, SelfConsistency):
        assert first.cost_usd.mean() <= 20.0 * (1 + 1e-9)
    assert first.n_calls.max() <= n_arms
    cascade.save(tmp_path / "cascade")
    again = load_cascade(tmp_path / "cascade")
    assert type(again) is type(cascade)
    second = play(again, table)
    assert (first.arm == second.arm).all() and (first.cost_usd == second.cost_usd).all()


@pytest.mark.parametrize("n_arms", [2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_stages_all_at_once_are_the_slow_loop(n_arms: int, missing: float) -> None:
    table = planted(200, n_arms, missing=missing)
    rng = np.random.default_rng(1)
    kinds = [
        NEVER,
        PASS_OVER,
        Stage((0.4,), (True, False)),
        Stage((0.2, 0.7), (False, True, False)),
        Stage((0.1, 0.5, 0.9), (True, False, True, False)),
    ]
    for _ in range(12):
        cascade = Threshold().fit(table)
        cascade.stages_ = tuple(kinds[one] for one in rng.integers(len(kinds), size=n_arms - 1))
        quality, cost = outcome(table, SIGNAL, cascade.stages_)
        slow = play(cascade, table)
        assert np.array_equal(quality, slow.quality)
        assert np.allclose(cost, slow.cost_usd)


def test_threshold_is_that_of_a_plain_search() -> None:
    table = planted(80, 2)
    found = Threshold().fit(table, value_usd=60.0)
    best = -np.inf
    for cut in [-1.0, *np.linspace(0, 1, 17) + 1e-3]:
        worth = 0.0
        for row in range(table.n_queries):
            worth -= table.cost_usd[row, 0] + (0.5 if cut >= 0 else 0.0)
            asks = table.readings[SIGNAL][row, 0] < cut
            worth -= table.cost_usd[row, 1] if asks else 0.0
            worth += 60.0 * table.quality[row, 1 if asks else 0]
        best = max(best, worth)
    best = max(best, float((60.0 * table.quality[:, 1] - table.cost_usd[:, 1]).sum()))  # large, asked at once
    got = play(found, table)
    assert float((60.0 * got.quality - got.cost_usd).sum()) == pytest.approx(best)


@pytest.mark.parametrize("kind", [DoubleThreshold, Pomdp, Bayes])
def test_hopeless_queries_are_not_escalated(kind: Any) -> None:
    train, test = hopeless(seed=0), hopeless(seed=1)
    cascade = chain_of(kind).fit(train, value_usd=60.0)
    plain = play(Threshold().fit(train, value_usd=60.0), test)
    played = play(cascade, test)
    is_hopeless = test.quality.sum(axis=1) == 0
    is_needy = (test.quality[:, 1] == 1) & (test.quality[:, 0] == 0)
    assert (played.n_calls[is_hopeless] == 2).mean() < 0.3
    assert (played.n_calls[is_needy] == 2).mean() > 0.6
    assert (60 * played.quality - played.cost_usd).mean() > (60 * plain.quality - plain.cost_usd).mean() + 1


def test_reason_says_that_it_is_hopeless() -> None:
    cascade = DoubleThreshold().fit(hopeless(), value_usd=60.0)
    move = cascade.next(Query(text="?"), np.zeros(2), np.zeros(2), [Seen(0, {SIGNAL: 0.0}, "4")])
    assert move.accept == 0 and "nobody else" in move.reason


def test_without_a_signal_nothing_beats_the_first_or_the_last_arm() -> None:
    table = planted(400, 2)
    noise = np.random.default_rng(5).random(table.quality.shape)
    blind = Recorded.of(
        Outcomes.from_arrays(table.queries, table.arms, table.quality, cost_usd=table.cost_usd),
        {SIGNAL: noise},
    )
    assert Pomdp(n_bins=4).fit(blind, value_usd=1.0).reads(0) == ()
    assert play(Pomdp(n_bins=4).fit(blind, value_usd=1e6), blind).n_calls.max() == 1  # the last, at once


@pytest.mark.parametrize("cascade", every_kind(), ids=lambda one: one.name)
def test_a_budget_that_allows_only_the_first_model(cascade: ChainCascade) -> None:
    table = planted(100, 3)
    cheapest = float(table.cost_usd[:, 0].mean())
    for budget in (cheapest * 1.001, cheapest / 2):  # the second cannot be kept at all
        played = play(cascade.fit(table, budget_usd=budget), table)
        assert (played.arm == 0).all()
        assert played.cost_usd.mean() == pytest.approx(cheapest)  # nothing is verified that changes nothing


@pytest.mark.parametrize("kind", KINDS)
def test_a_querys_own_limit(kind: Any) -> None:
    cascade = chain_of(kind).fit(planted(100, 3), value_usd=200.0)
    costs = np.array([1.0, 10.0, 50.0])
    query = Query(text="?", constraints=Constraints(max_cost_usd=Decimal("1.5")))
    first = cascade.next(query, np.zeros(3), costs, []).ask
    assert first is not None
    doubtful = [Seen(first, {SIGNAL: 0.3}, "an answer")]
    assert cascade.next(query, np.zeros(3), costs, doubtful).ask is None
    free = cascade.next(Query(text="?"), np.zeros(3), costs, [Seen(first, {SIGNAL: None}, "")])
    assert free.ask is not None or first == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reading", [{}, {SIGNAL: None}, {SIGNAL: float("nan")}, {"other": 1.0}], ids=str)
def test_an_answer_that_cannot_be_read_is_asked_on(kind: Any, reading: dict[str, float | None]) -> None:
    cascade = chain_of(kind).fit(planted(300, 2))
    assert cascade.reads(0) == (SIGNAL,)
    move = cascade.next(Query(text="?"), np.zeros(2), np.zeros(2), [Seen(0, reading, "")])
    assert move.ask == 1


@pytest.mark.parametrize("kind", [Threshold, DoubleThreshold, SelfConsistency, Bayes])
def test_the_last_arms_silence_gives_the_answer_before(kind: Any) -> None:
    cascade = chain_of(kind).fit(planted(300, 2))
    seen = [Seen(0, {SIGNAL: 0.2}, "something"), Seen(1, {}, "  ")]
    assert cascade.next(Query(text="?"), np.zeros(2), np.zeros(2), seen).accept == 0


def test_readings_that_are_all_missing_pass_the_query_on() -> None:
    table = planted(60, 2, missing=1.1)
    for cascade in every_kind():
        played = play(cascade.fit(table, value_usd=1e6), table)
        assert (played.arm == 1).all()


def test_queries_without_every_quality_are_left_out_of_the_fit() -> None:
    table = planted(60, 2)
    holes = table.quality.copy()
    holes[10:, 1] = np.nan
    some = Recorded.of(
        Outcomes.from_arrays(table.queries, table.arms, holes, cost_usd=table.cost_usd), dict(table.readings)
    )
    assert Threshold().fit(some).n_train_ == 10
    none = Recorded.of(Outcomes.from_arrays(table.queries, table.arms, holes * np.nan), dict(table.readings))
    with pytest.raises(DataError, match="no query has quality and cost"):
        Threshold().fit(none)
    with pytest.raises(UnknownName):
        Threshold(signal="margin").fit(table)
    with pytest.raises(UnknownName):
        Threshold(arms=["small", "nobody"]).fit(table)


def test_order_of_arms_is_by_cost_unless_given() -> None:
    table = planted(100, 3)
    turned = table.select(arms=["large", "small", "middle"])
    assert Threshold().fit(turned).arms == ("small", "middle", "large")
    assert Threshold(arms=["middle", "large"]).fit(turned).arms == ("middle", "large")
    one, other = Threshold().fit(table, value_usd=90.0), Threshold().fit(turned, value_usd=90.0)
    assert one.stages_ == other.stages_


def test_goals() -> None:
    table = planted(50, 2)
    assert Goal(value_usd=0.0).best(np.array([0.2, 0.9]), np.array([1.0, 2.0]), table) == 0
    assert Goal(budget_usd=2.0).best(np.array([0.2, 0.9, 0.9]), np.array([1.0, 2.0, 1.5]), table) == 2
    with pytest.raises(ConfigError, match="two goals"):
        Threshold().fit(table, budget_usd=1.0, value_usd=1.0)
    with pytest.raises(ConfigError, match="at least 0"):
        Threshold().fit(table, budget_usd=-1.0)


def test_self_consistency_takes_a_tie_for_no() -> None:
    cascade = SelfConsistency().fit(planted(50, 2))
    stage = cascade.stages_[0]
    assert stage.asks_after(0.5) and not stage.asks_after(0.625) and stage.asks_after(None)


def test_cuts() -> None:
    assert cuts(np.array([0.0, 1.0, np.nan, 0.5]), 10) == [0.25, 0.75]
    assert cuts(np.array([0.5, 0.5]), 10) == [] and cuts(np.array([np.nan]), 10) == []
    assert len(cuts(np.linspace(0, 1, 100), 9)) == 9
    assert cuts(np.array([0.0, 0.0, 0.0, 0.5, 1.0, 1.0]), 1) == [0.25]  # three below, three above
    assert cuts(np.array([0.1, 0.9]), 0) == []


def test_calibrated_thresholds_choose_alike_and_survive_the_disk(tmp_path: Path) -> None:
    table = planted(300, 2)
    raw = ConfidenceCascade(signal=SIGNAL).fit(table, budget_usd=5.0)
    cal = ConfidenceCascade(signal=SIGNAL, calibrator="auto").fit(table, budget_usd=5.0)
    assert np.array_equal(play(raw, table).arm, play(cal, table).arm)  # calibration keeps the order
    cal.save(tmp_path)
    assert np.array_equal(play(load_cascade(tmp_path), table).arm, play(cal, table).arm)
    with pytest.raises(UnknownName):
        ConfidenceCascade(signal=SIGNAL, calibrator="magic")


def test_a_promise_against_the_last_arm() -> None:
    fit, held, test = (planted(1500, 3, seed=seed) for seed in range(3))
    cascade = ConfidenceCascade(signal=SIGNAL, calibrator="platt").fit(fit)
    found = cascade.certify(held, epsilon=0.1, delta=0.1)
    played = play(cascade, test)
    assert found.certified and found.thresholds is not None
    assert play(cascade, held).cost_usd.mean() == pytest.approx(found.cost_usd)
    assert test.quality[:, -1].mean() - played.quality.mean() <= 0.1
    assert not cascade.certify(held.select(np.arange(20)), epsilon=0.01, delta=0.05).certified
    assert (play(cascade, test).arm == 2).all()


def test_recorded_checks() -> None:
    table = Outcomes.from_arrays(["a"], ["x", "y"], [[1.0, 0.0]])
    with pytest.raises(DataError, match="shape"):
        Recorded.of(table, {SIGNAL: [[0.1]]})
    with pytest.raises(DataError, match="between"):
        Recorded.of(table, {SIGNAL: [[0.1, 1.5]]})
    with pytest.raises(UnknownName):
        Recorded.of(table, {SIGNAL: [[0.1, 0.5]]}, reading_cost_usd={"margin": [[0.0, 0.0]]})
    assert Recorded.of(table).complete().n_queries == 0  # costs are unknown


class Stubborn:
    """Asks the same arm for ever, or gives an answer that is not there."""

    name: str = "stubborn"
    arms: tuple[str, ...] = ("small", "middle")
    signals: tuple[str, ...] = ()

    def __init__(self, move: Move) -> None:
        self.move = move

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        return self.move

    def save(self, directory: Path) -> None: ...

    @classmethod
    def load(cls, directory: Path) -> "Stubborn":
        return cls(ask(0, ""))


@pytest.mark.parametrize("move", [ask(0, "again"), ask(9, "who?"), accept(0, "what?")], ids=str)
def test_play_catches_a_cascade_that_does_not_end(move: Move) -> None:
    with pytest.raises(DataError, match="stubborn"):
        play(Stubborn(move), planted(3, 2))


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no cascade at"):
        load_cascade(tmp_path)
    Pomdp().fit(planted(100, 2)).save(tmp_path)
    with pytest.raises(ArtefactError, match="not 'automix_threshold'"):
        Threshold.load(tmp_path)
    content = json.loads((tmp_path / "cascade.json").read_text())
    for broken in (
        {**content, "format": 9},
        {**content, "facts": {}},
        {**content, "facts": content["facts"] | {"arms": ["x"]}},
    ):
        (tmp_path / "cascade.json").write_text(json.dumps(broken))
        with pytest.raises(ArtefactError):
            load_cascade(tmp_path)
    (tmp_path / "cascade.json").write_text("{")
    with pytest.raises(ArtefactError, match="is no cascade"):
        load_cascade(tmp_path)


def test_before_the_fit(tmp_path: Path) -> None:
    for cascade in every_kind():
        with pytest.raises(NotFitted):
            cascade.next(Query(text="?"), np.zeros(0), np.zeros(0), [])
        with pytest.raises(NotFitted):
            cascade.save(tmp_path)


def test_names() -> None:
    assert all(isinstance(cascade, Cascade) for cascade in every_kind())
    assert {kind.name for kind in KINDS} | {"confidence"} <= set(cascades.available())
    assert isinstance(cascades.create("automix_bayes", n_bins=4), StepCascade)
    with pytest.raises(ConfigError):
        cascades.create("automix_pomdp", n_bins=0)


def test_readings_of_recorded_calls(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"query_id": "1", "query": "q", "model": "s", "strategy": "greedy", "response": "4", "score": 1.0},
        {"query_id": "1", "query": "q", "model": "l", "strategy": "greedy", "response": "", "score": 0.0},
    ]
    said = [("s", "Correct", 1.0, 3.0), ("s", "Incorrect", 2.0, 1.0), ("l", "Correct", 1.0, 1.0)]
    asked = {"query_id": "1", "query": "q", "strategy": "verify"}
    for model, text, cost, wait in said:
        rows.append(asked | {"model": model, "response": text, "cost_usd": cost, "latency_s": wait})
    file = tmp_path / "runs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs = Runs.read(file)
    table = runs.to_outcomes(where={"strategy": "greedy"}, responses=True)
    from suffice.cascades.automix import share

    found = readings_of(runs, table, "verify", lambda answer, replies: share(replies))
    s, large = table.arms.index("s"), table.arms.index("l")
    assert found.reading[0, s] == 0.5 and np.isnan(found.reading[0, large])  # an empty answer is not read
    assert found.cost_usd[0, s] == 3.0 and found.latency_s[0, s] == 3.0
    with pytest.raises(DataError, match="responses=True"):
        readings_of(
            runs, runs.to_outcomes(where={"strategy": "greedy"}), "verify", lambda answer, replies: None
        )


def test_play_by_hand() -> None:
    table = Outcomes.from_arrays(
        ["a", "b"],
        ["s", "l"],
        [[0.2, 0.9], [0.8, 0.4]],
        cost_usd=[[1.0, 7.0], [2.0, 9.0]],
        latency_s=[[0.1, 3.0], [0.2, 4.0]],
    )
    paid, waited = {SIGNAL: [[0.5, 0.5], [0.25, 0.5]]}, {SIGNAL: [[0.01, 1.0], [0.02, 1.0]]}
    recorded = Recorded.of(
        table, {SIGNAL: [[0.2, 1.0], [0.9, 1.0]]}, reading_cost_usd=paid, reading_latency_s=waited
    )
    cascade = Threshold().fit(recorded)
    cascade.stages_ = (Stage((0.5,), (True, False)),)
    played = play(cascade, recorded)
    assert played.arm.tolist() == [1, 0] and played.n_calls.tolist() == [2, 1]
    assert played.quality.tolist() == [0.9, 0.8]
    assert played.cost_usd.tolist() == [1.0 + 0.5 + 7.0, 2.0 + 0.25]  # the last answer is not verified
    assert played.latency_s == pytest.approx([0.1 + 0.01 + 3.0, 0.2 + 0.02])


@pytest.mark.parametrize("cascade", every_kind(), ids=lambda one: one.name)
def test_order_of_queries_does_not_matter(cascade: ChainCascade) -> None:
    table = planted(80, 2)
    turned = table.select(np.random.default_rng(0).permutation(80))
    one = play(cascade.fit(table, value_usd=40.0), table)
    other = play(cascade.fit(turned, value_usd=40.0), table)
    assert np.array_equal(one.arm, other.arm)
