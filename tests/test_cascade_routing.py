"""Cascade routing and FrugalGPT against brute force, closed forms, and the slow honest loop."""

import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import cascades, routers
from suffice.cascades import Recorded, Seen, play
from suffice.cascades.answers import answer_key
from suffice.cascades.beliefs import Beliefs
from suffice.cascades.frugalgpt import Chain, FrugalGPT, TextScorer, Wish, best_chains, played
from suffice.cascades.lookahead import Lookahead, slope_place
from suffice.cascades.pricing import for_budget, lot_of
from suffice.cascades.routing import CascadeRouting
from suffice.cascades.supermodels import CLASSES, ErrorModel, cells_below, expected_maximum, subsets
from suffice.embedders.hashed import HashedNgrams
from suffice.errors import ArtefactError, ConfigError, DataError
from suffice.outcomes import Outcomes
from suffice.plans.cascade import CascadePlan
from suffice.types import Candidate, FloatArray, Query

ARMS = ("tiny", "small", "medium", "large")


def planted(n: int = 160, seed: int = 0) -> tuple[Recorded, np.ndarray, np.ndarray]:
    """Four models of rising price and skill, right answers agree, readings and scores that know something."""
    rng = np.random.default_rng(seed)
    skill, price = np.array([0.45, 0.6, 0.7, 0.85]), np.array([1.0, 3.0, 8.0, 30.0]) * 1e-4
    hardness = rng.normal(size=(n, 1))
    p = 1 / (1 + np.exp(-(np.log(skill / (1 - skill)) + 1.2 * hardness)))
    right = rng.random((n, 4)) < p
    wrong = rng.integers(100, 110, size=(n, 4))
    answers = np.where(right, np.arange(n)[:, None] + 1000, wrong)
    responses = np.array([[f"I think.\nAnswer: {one}" for one in row] for row in answers], dtype=object)
    outcomes = Outcomes.from_arrays(
        [f"question number {i}: what is it" for i in range(n)],
        ARMS,
        right.astype(float),
        cost_usd=price * rng.uniform(0.5, 1.5, (n, 4)),
        latency_s=np.ones((n, 4)),
        responses=responses,
    )
    reading = np.clip(0.5 * right + 0.5 * rng.random((n, 4)), 0, 1)
    recorded = Recorded.of(outcomes, {"sure": reading}, reading_cost_usd={"sure": np.full((n, 4), 1e-5)})
    scores = np.clip(p + rng.normal(0, 0.1, (n, 4)), 0.01, 0.99)
    return recorded, scores, np.tile(price, (n, 1))


@pytest.fixture(scope="module")
def fitted() -> CascadeRouting:
    recorded, scores, costs = planted()
    return CascadeRouting(n_trials=600).fit(recorded, scores, costs, value_usd=0.003)


# --- the optimiser of FrugalGPT


def brute_force(
    quality: FloatArray, cost: FloatArray, read: FloatArray, accept: FloatArray, wish: Wish, length: int
) -> float:
    best = -np.inf
    for size in range(1, length + 1):
        for arms in itertools.permutations(range(quality.shape[1]), size):
            levels = [[*np.unique(accept[:, arm]), np.inf] for arm in arms[:-1]]
            for thresholds in itertools.product(*levels):
                total_quality = total_cost = 0.0
                for row in range(len(quality)):
                    for arm, threshold in zip(arms, (*thresholds, -np.inf), strict=True):
                        total_cost += (cost if arm == arms[-1] else read)[row, arm]
                        if accept[row, arm] >= threshold:
                            total_quality += quality[row, arm]
                            break
                q, c = total_quality / len(quality), total_cost / len(quality)
                best = max(best, float(wish.worth(np.array(q), np.array(c))))
    return best


@pytest.mark.parametrize("wish", [Wish(budget_usd=2.0), Wish(budget_usd=4.0), Wish(value_usd=5.0)], ids=str)
def test_best_chain_is_no_worse_than_brute_force(wish: Wish) -> None:
    rng = np.random.default_rng(3)
    quality = rng.integers(0, 2, (9, 3)).astype(float)
    cost = np.array([1.0, 2.0, 6.0]) * rng.uniform(0.5, 1.5, (9, 3))
    accept, extra = rng.integers(0, 5, (9, 3)) / 4, np.full((9, 3), 0.1)
    (chain,) = best_chains(quality, cost, accept, [wish], reading_cost_usd=extra)
    assert chain is not None
    _, reached, paid = played(chain, quality, cost, cost + extra, accept)
    assert reached.mean() == pytest.approx(chain.quality) and paid.mean() == pytest.approx(chain.cost_usd)
    found = float(wish.worth(np.array(chain.quality), np.array(chain.cost_usd)))
    assert found >= brute_force(quality, cost, cost + extra, accept, wish, 3) - 1e-9


def test_four_arms_in_a_chain_are_at_least_as_good_as_three() -> None:
    recorded, _, _ = planted(120)
    trust = recorded.signal("sure")
    wishes = [Wish(budget_usd=b) for b in (5e-4, 1e-3)]
    three, four = (
        best_chains(recorded.quality, recorded.cost_usd, trust, wishes, max_length=k) for k in (3, 4)
    )
    for short, long in zip(three, four, strict=True):
        assert short is not None and long is not None
        assert long.quality >= short.quality - 1e-12 and len(short.arms) <= 3


def test_no_chain_within_the_budget() -> None:
    recorded, _, _ = planted(40)
    assert best_chains(recorded.quality, recorded.cost_usd, recorded.quality, [Wish(budget_usd=1e-9)]) == [
        None
    ]
    with pytest.raises(DataError, match="cheapest arm alone"):
        FrugalGPT(signal="sure").fit(recorded, budget_usd=1e-9)
    with pytest.raises(ConfigError):
        Wish()


def test_frugalgpt_sweeps_as_it_plays(tmp_path: Path) -> None:
    recorded, _, _ = planted(150)
    embedder = HashedNgrams(dimensions=16)
    for cascade in (FrugalGPT(signal="sure"), FrugalGPT(embedder=embedder)):
        cascade.fit(recorded, budget_usd=1e-3)
        cascade.save(tmp_path)
        again = cascades.load_cascade(tmp_path, embedder=embedder)
        fast, slow = cascade.sweep(recorded), play(again, recorded)
        for name in ("arm", "quality", "cost_usd", "latency_s", "n_calls"):
            np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), err_msg=name)
    with pytest.raises(ArtefactError, match="embedder"):
        cascades.load_cascade(tmp_path)


def test_scorer_learns_what_answers_show() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((200, 2)) < 0.5
    texts = np.where(right, "certainly this follows by proof", "perhaps, I am not sure at all").astype(object)
    outcomes = Outcomes.from_arrays(
        [f"query {i}" for i in range(200)], ("a", "b"), right * 1.0, cost_usd=np.tile([1.0, 2.0], (200, 1)),
        responses=texts,
    )  # fmt: skip
    cascade = FrugalGPT(embedder=HashedNgrams(dimensions=16)).fit(Recorded.of(outcomes), value_usd=10.0)
    assert cascade.scorer_ is not None
    scores = cascade.scorer_.scores(
        ["new query"], np.array([["certainly this follows by proof", ""]], object)
    )
    assert scores[0, 0] > 0.9 and scores[0, 1] == 0
    assert cascade.chain_.quality > right.mean(axis=0).max() + 0.15


# --- supermodels


def test_expected_maximum_closed_form_and_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    values = np.sort(rng.random((3, 24)), axis=1)
    below = cells_below(values)
    alone = expected_maximum(below, np.eye(3, dtype=bool))
    np.testing.assert_allclose(alone, values.mean(axis=1), atol=1e-9)
    draws = np.stack([rng.choice(row, 200_000) for row in values])
    members = subsets(3, 3)
    for floor in (0.0, 0.6):
        found = expected_maximum(below, members, floor)
        for row, chosen in zip(found, members, strict=True):
            assert row == pytest.approx(np.maximum(draws[chosen].max(axis=0), floor).mean(), abs=4e-3)
    uniform = cells_below(np.tile((np.arange(1000) + 0.5) / 1000, (2, 1)))
    assert expected_maximum(uniform, np.ones((1, 2), bool))[0] == pytest.approx(2 / 3, abs=1e-3)


def test_expected_maximum_of_normals_is_clark() -> None:
    """E max of two equal independent normals: mean + sd / sqrt(pi)."""
    rng = np.random.default_rng(0)
    before = np.full(4000, 0.5)
    after = before + rng.normal(0, 0.1, 4000)
    for kind in ("normal", "empirical"):
        model = ErrorModel.fit(before, after, np.full(4000, 2), kind=kind)
        below = model.below(np.array([0.5, 0.5]), 2)
        found = expected_maximum(below, np.ones((1, 2), bool))[0]
        assert found == pytest.approx(0.5 + 0.1 / np.sqrt(np.pi), abs=4e-3)


def test_estimates_stay_the_mean_of_their_later_ones() -> None:
    rng = np.random.default_rng(1)
    before = rng.random(500)
    model = ErrorModel.fit(before, np.round(before), rng.integers(1, 4, 500))
    points = np.linspace(0.01, 0.99, 23)
    for n_answers in range(1, CLASSES + 2):
        means = expected_maximum(model.below(points, n_answers), np.eye(23, dtype=bool))
        np.testing.assert_allclose(means, points, atol=1e-9)


# --- beliefs


def test_agreement_raises_and_dissent_lowers() -> None:
    belief = Beliefs(spread=1.0, collision=0.1, dissent=0.02).at(np.array([0.6, 0.6, 0.7]))
    alone = belief.after([0], [0.6], ["7"])
    agree = belief.after([0, 1], [0.6, 0.6], ["7", "7"])
    differ = belief.after([0, 1], [0.6, 0.6], ["7", "8"])
    silent = belief.after([0], [0.6], [""])
    assert agree[0] > alone[0] > differ[0] and agree[2] > alone[2] > differ[2]
    assert agree[0] == agree[1] and silent[0] < 1e-3 and silent[2] < belief.prior[2]
    np.testing.assert_allclose(alone, belief.prior, atol=0.02)


def test_beliefs_without_spread_are_bayes_by_hand() -> None:
    belief = Beliefs(spread=0.0, collision=0.2, dissent=0.0).at(np.array([0.6, 0.5]))
    both, none_same, none_apart = 0.6 * 0.5, 0.4 * 0.5 * 0.2, 0.4 * 0.5 * 0.8
    same = belief.after([0, 1], [0.6, 0.5], ["x", "x"])
    apart = belief.after([0, 1], [0.6, 0.5], ["x", "y"])
    assert same[0] == pytest.approx(both / (both + none_same))
    first, second = 0.6 * 0.5, 0.4 * 0.5
    np.testing.assert_allclose(apart, np.array([first, second]) / (first + second + none_apart))


def test_beliefs_find_what_was_planted() -> None:
    recorded, _, _ = planted(1500)
    assert recorded.responses is not None
    keys = [[answer_key(text) for text in row] for row in recorded.responses]
    prior = np.tile(recorded.quality.mean(axis=0), (1500, 1))
    found = Beliefs.fit(prior, recorded.quality, keys)
    assert found.spread in (1.0, 1.5) and found.collision == pytest.approx(0.1, abs=0.02)
    assert found.dissent < 0.01 and not Beliefs.fit(prior, recorded.quality, None).reads_text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"reasoning": "so", "answer": "9.0"}', "7 + 2 = 9\nans = 9", True),
        ("\\boxed{\\frac{1}{2}}", "the final answer is \\frac{1}{2}.", True),
        ("#### 1,200", '```json\n{"answer": 1200}\n```', True),
        ('{"answer": "[(4, 1), (2, 3)]"}', '{"answer": "[(4, 1), (3, 2)]"}', False),
        ("", "  ", True),
    ],
)
def test_answer_key(one: str, other: str, same: bool) -> None:
    assert (answer_key(one) == answer_key(other)) == same


# --- cascade routing


def test_sweep_is_play(fitted: CascadeRouting, tmp_path: Path) -> None:
    recorded, scores, costs = planted(60, seed=5)
    fitted.save(tmp_path)
    for params in ({}, {"max_asks": 1}, {"order": ("tiny", "medium", "large")}):
        cascade = fitted.again(value_usd=0.003, **params)
        fast = cascade.sweep(recorded, [1 / 0.003], scores, costs)[0]
        slow = play(cascade, recorded, scores, costs)
        for name in ("arm", "quality", "cost_usd", "n_calls"):
            np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), err_msg=name)
    loaded = cascades.load_cascade(tmp_path)
    np.testing.assert_array_equal(
        play(loaded, recorded, scores, costs).arm, play(fitted, recorded, scores, costs).arm
    )


def test_signals_and_scorer_live_as_recorded(tmp_path: Path) -> None:
    recorded, scores, costs = planted(150, seed=2)
    embedder = HashedNgrams(dimensions=8)
    cascade = CascadeRouting(signals=("sure",), embedder=embedder, n_trials=200)
    cascade.fit(recorded, scores, costs, value_usd=0.003)
    cascade.save(tmp_path)
    loaded = cascades.load_cascade(tmp_path, embedder=embedder)
    fast = cascade.sweep(recorded, [1 / 0.003], scores, costs)[0]
    slow = play(loaded, recorded, scores, costs)
    assert (fast.arm == slow.arm).mean() > 0.98  # a scorer's float32 embedding may tip a tie
    assert slow.cost_usd.mean() == pytest.approx(fast.cost_usd.mean(), rel=0.02)


def test_depth_one_is_routing(fitted: CascadeRouting) -> None:
    recorded, scores, costs = planted(80, seed=6)
    for value in (1e-4, 1e-3, 1e-2):
        cascade = fitted.again(max_asks=1, value_usd=value)
        net = value * fitted.estimates_.priors(scores) - costs
        found = play(cascade, recorded, scores, costs)
        np.testing.assert_array_equal(found.arm, net.argmax(axis=1))
        assert (found.n_calls == 1).all()


def test_fixed_order_is_a_plain_cascade(fitted: CascadeRouting) -> None:
    """The published rule, written anew: go on where some longer prefix is worth more than stopping."""
    recorded, scores, costs = planted(60, seed=7)
    order, value = (0, 2, 3), 0.004
    cascade = fitted.again(order=[ARMS[arm] for arm in order], value_usd=value)
    found = play(cascade, recorded, scores, costs)
    look, estimates = fitted.lookahead_, fitted.estimates_
    assert recorded.responses is not None
    for row in range(60):
        prior = estimates.priors(scores[row])
        belief, n = estimates.start(prior), 0
        while True:
            seen = list(order[:n])
            now = estimates.after(
                belief, seen, prior[seen].tolist(), [answer_key(recorded.responses[row, a]) for a in seen]
            )
            stop = max((now[a] for a in seen), default=-np.inf)
            gains = []
            for end in range(n + 1, 4):
                added = list(order[n:end])
                base = max(*now[added], stop, 0.0)
                worth = base
                if end > 1:
                    below = look.errors.below(now[added], end)
                    whole = expected_maximum(below, np.ones((1, len(added)), bool), max(stop, 0.0))[0]
                    worth += look.slopes[slope_place(n, end - n)] * max(whole - base, 0)
                gains.append(value * worth - costs[row, added].sum())
            if n and (not gains or max(gains) <= value * stop):
                break
            n += 1
        assert found.n_calls[row] == n
        assert found.arm[row] == max(seen, key=lambda arm: now[arm])


def test_pruning_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.random(900)
    errors = ErrorModel.fit(before, np.clip(before + rng.normal(0, 0.3, 900), 0, 1), rng.integers(1, 4, 900))
    slopes = np.array([[1.0, 0.8, 0.6], [0.9, 0.5, 0.4], [0.7, 0.3, 1.0]])
    looks = [
        Lookahead(errors, slopes, shortlist=some, max_added=3, max_asks=4) for some in (None, (0, 2, 3, 5))
    ]
    n_fewer = 0
    for trial in range(200):
        estimates, costs = rng.random(6), 10 ** rng.uniform(-5, -2, 6)
        seen = rng.permutation(6)[: trial % 3].tolist()
        price = 10 ** rng.uniform(1, 5)
        quality = float(estimates[seen].max()) if seen else None
        look = looks[trial % 2]
        every, fewer = look.outlook(estimates, costs, seen), look.pruned(estimates, costs, seen, price)
        n_fewer += len(fewer.values) < len(every.values)
        assert every.choice(price, quality) == fewer.choice(price, quality)
    assert n_fewer > 100


@pytest.mark.parametrize("budget_usd", [2e-4, 5e-4, 1.2e-3, 2.5e-3])
def test_budget_is_met(fitted: CascadeRouting, budget_usd: float) -> None:
    recorded, scores, costs = planted()
    cascade = fitted.again(budget_usd=budget_usd)
    paid = play(cascade, recorded, scores, costs).cost_usd.mean()
    assert paid == pytest.approx(budget_usd, rel=0.12)


def test_a_lot_between_two_prices_meets_a_budget_that_no_price_meets() -> None:
    """All queries alike: one price has all of them ask the dear arm, the next none."""
    prices = for_budget(lambda given: np.array([10.0 if one < 123.4 else 2.0 for one in given]), 5.0)
    assert prices.share == pytest.approx(3 / 8)
    lots = np.array([lot_of(Query(text=f"query {i}"), 0) for i in range(4000)])
    paid = [10.0 if prices.of(lot) < 123.4 else 2.0 for lot in lots]
    assert np.mean(paid) == pytest.approx(5.0, abs=0.25)
    assert for_budget(lambda given: np.array([3.0 for _ in given]), 5.0).share == 1.0


def test_cascade_routing_is_better_than_routing_where_answers_tell(fitted: CascadeRouting) -> None:
    recorded, scores, costs = planted(240, seed=9)
    both = [fitted.again(max_asks=asks, budget_usd=1e-3) for asks in (4, 1)]
    cascade, routing = (play(one, recorded, scores, costs) for one in both)
    assert cascade.quality.mean() > routing.quality.mean() + 0.02
    assert cascade.cost_usd.mean() < 1.15e-3


def test_bad_input(fitted: CascadeRouting, tmp_path: Path) -> None:
    recorded, scores, costs = planted(30, seed=3)
    unknown = np.full(4, np.nan)
    move = fitted.next(Query(text="x"), unknown, unknown, [])
    assert move.ask is not None
    empty = [Seen(arm, {}, "") for arm in range(4)]
    assert fitted.next(Query(text="x"), scores[0], costs[0], empty).accept is not None
    with pytest.raises(ConfigError):
        CascadeRouting().fit(recorded, scores, costs)
    with pytest.raises(ConfigError):
        CascadeRouting(max_asks=0)
    fitted.save(tmp_path)
    path = tmp_path / "cascade.json"
    path.write_text(path.read_text().replace('"beliefs"', '"belief"'))
    with pytest.raises(ArtefactError, match="does not fit"):
        cascades.load_cascade(tmp_path)


def test_chain_is_a_value() -> None:
    assert Chain((0,), (), 0.5, 1.0) == Chain((0,), (), 0.5, 1.0)


# --- an encoder as the scorer


def said_surely(n: int = 60) -> Outcomes:
    """Right where the answer sounds sure; b costs ten times as much and is always sure."""
    rng = np.random.default_rng(0)
    right = np.column_stack([rng.random(n) < 0.5, np.ones(n, dtype=bool)])
    texts = np.where(right, "certainly this follows by proof", "perhaps, I am not sure at all").astype(object)
    return Outcomes.from_arrays(
        [f"query {i}" for i in range(n)], ("a", "b"), right * 1.0, cost_usd=np.tile([1.0, 10.0], (n, 1)),
        responses=texts,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "ridge",
        pytest.param(
            "bert",
            marks=pytest.mark.skipif(
                not all(map(find_spec, ("torch", "transformers"))), reason="pip install 'suffice[torch]'"
            ),
        ),
    ],
)
def test_a_router_reads_answers(name: str, tmp_path: Path) -> None:
    tiny: dict[str, Any] = {"encoder": "tiny", "epochs": 6.0, "learning_rate": 3e-3, "max_length": 32}
    params = tiny if name == "bert" else {}
    recorded = Recorded.of(said_surely())
    cascade = FrugalGPT(reader=routers.create(name, **params)).fit(recorded, value_usd=30.0)
    assert cascade.chain_.arms == (0, 1)
    assert isinstance(cascade.scorer_, TextScorer)
    sure, unsure = (
        cascade.scorer_.score("query new", 0, text)
        for text in ("certainly this follows by proof", "perhaps, I am not sure at all")
    )
    assert sure > 0.8
    assert unsure < 0.3
    assert cascade.scorer_.score("query new", 0, " ") == 0
    cascade.save(tmp_path)
    reader = routers.load(tmp_path / "reader")
    again = cascades.load_cascade(tmp_path, reader=reader)
    np.testing.assert_allclose(play(again, recorded).quality, cascade.sweep(recorded).quality)
    with pytest.raises(ArtefactError, match="reader"):
        cascades.load_cascade(tmp_path)
    plan = CascadePlan(".")
    panel = [Candidate(name=arm, provider="fake", model=arm) for arm in "ab"]
    plan.prepare(path=lambda _: tmp_path, embedder=HashedNgrams(), panel=panel)
    assert plan.rule.arms == ("a", "b")
