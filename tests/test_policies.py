"""Policies against plain loops, and what must hold for any numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suffice import policies
from suffice.errors import ConfigError, UnknownName
from suffice.protocols import Policy, PolicyContext
from suffice.types import FloatArray

ARMS = ("gamma", "alpha", "delta", "beta")
Row = tuple[float, ...]


def worst_if_nan(value: float) -> tuple[bool, float]:
    return math.isnan(value), 0.0 if math.isnan(value) else value


def utility_key(value_usd: float) -> Callable[[float, float, float], Any]:
    def key(score: float, cost: float, latency: float) -> Any:
        if value_usd == 0:
            return worst_if_nan(cost), worst_if_nan(-score)
        if math.isinf(value_usd):
            return worst_if_nan(-score), worst_if_nan(cost)
        return worst_if_nan(cost - value_usd * score), worst_if_nan(-score), worst_if_nan(cost)

    return key


def floor_key(floor: float) -> Callable[[float, float, float], Any]:
    def key(score: float, cost: float, latency: float) -> Any:
        if score >= floor:
            return 0, worst_if_nan(cost), worst_if_nan(-score)
        return 1, (False, 0.0), worst_if_nan(-score), worst_if_nan(cost)

    return key


def latency_key(limit_s: float, value_usd: float) -> Callable[[float, float, float], Any]:
    def key(score: float, cost: float, latency: float) -> Any:
        within = latency <= limit_s
        slowness = (False, 0.0) if within else worst_if_nan(latency)
        return not within, slowness, utility_key(value_usd)(score, cost, latency)

    return key


CASES: list[tuple[Policy, Callable[[float, float, float], Any]]] = [
    *((policies.Utility(value_usd=value), utility_key(value)) for value in (0, 1e-4, 0.5, math.inf)),
    *((policies.Floor(floor=floor), floor_key(floor)) for floor in (0, 0.5, 1)),
    *(
        (policies.Latency(limit_s=limit, value_usd=value), latency_key(limit, value))
        for limit, value in ((0.4, math.inf), (0.8, 0.1), (0.0, 0.0))
    ),
]
ALL = [
    *(policy for policy, _ in CASES),
    policies.Threshold(threshold=0.2),
    policies.Threshold(threshold=-1),
    policies.Threshold(threshold=0.1, strong="delta", weak="alpha"),
    policies.Threshold(threshold=0.6, strong="delta", weak="alpha", win_rate=True),
]

levels = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan])
tables = st.integers(0, 5).flatmap(lambda n: st.tuples(*[arrays(np.float64, (n, 4), elements=levels)] * 3))
masks = arrays(np.bool_, (5, 4))


@pytest.mark.parametrize(("policy", "key"), CASES)
@given(tables=tables, mask=masks)
@settings(max_examples=60, deadline=None)
def test_the_ranking_is_that_of_a_plain_sort(
    policy: Policy, key: Callable[[float, float, float], Any], tables: tuple[FloatArray, ...], mask: Any
) -> None:
    scores, costs, latencies = tables
    eligible = mask[: len(scores)]
    choice = policy.choose(scores, costs, latencies, PolicyContext(arms=ARMS, eligible=eligible))
    for row in range(len(scores)):
        numbers = zip(scores[row].tolist(), costs[row].tolist(), latencies[row].tolist(), strict=True)
        keys = [(not eligible[row, plan], key(*three), ARMS[plan]) for plan, three in enumerate(numbers)]
        expected = sorted(range(4), key=keys.__getitem__)
        assert choice.ranking[row].tolist() == expected


@pytest.mark.parametrize("policy", ALL)
@given(tables=tables, mask=masks, order=st.permutations(range(4)))
@settings(max_examples=60, deadline=None)
def test_what_holds_for_every_policy(
    policy: Policy, tables: tuple[FloatArray, ...], mask: Any, order: list[int]
) -> None:
    n = len(tables[0])
    eligible = mask[:n]
    before = [table.copy() for table in tables]
    choice = policy.choose(*tables, PolicyContext(arms=ARMS, eligible=eligible))
    for table, copy in zip(tables, before, strict=True):
        np.testing.assert_array_equal(table, copy)
    assert choice.ranking.shape == choice.propensities.shape == (n, 4)
    assert (np.sort(choice.ranking, axis=1) == np.arange(4)).all()
    assert (choice.propensities.sum(axis=1) == 1).all()
    assert len(choice.reasons) == n
    assert all(choice.reasons)
    ranked = np.take_along_axis(eligible, choice.ranking, axis=1)
    assert (ranked == np.sort(ranked, axis=1)[:, ::-1]).all(), "ineligible plans come last"
    assert (choice.propensities[np.arange(n), choice.ranking[:, 0]] == 1).all()

    arms = tuple(ARMS[plan] for plan in order)
    context = PolicyContext(arms=arms, eligible=eligible[:, order])
    shuffled = policy.choose(*(table[:, order] for table in tables), context)
    names = np.array(ARMS)[choice.ranking]
    np.testing.assert_array_equal(np.array(arms)[shuffled.ranking], names)


def choose(policy: Policy, scores: Row, costs: Row, latencies: Row | None = None, arms: Any = None) -> Any:
    known = np.array([latencies or (math.nan,) * len(scores)])
    context = PolicyContext(arms=arms or ("small", "large", "huge")[: len(scores)])
    choice = policy.choose(np.array([scores]), np.array([costs]), known, context)
    return context.arms[choice.ranking[0, 0]], choice.reasons[0]


def test_utility_weighs_worth_against_cost() -> None:
    scores, costs = (0.6, 0.9), (0.001, 0.004)
    assert choose(policies.Utility(value_usd=0.009), scores, costs)[0] == "small"  # 0.3 x 0.009 < 0.003
    assert choose(policies.Utility(value_usd=0.011), scores, costs)[0] == "large"
    assert choose(policies.Utility(value_usd=0), scores, costs)[0] == "small"
    assert choose(policies.Utility(value_usd=math.inf), scores, costs)[0] == "large"


def test_utility_gives_its_reason_with_numbers() -> None:
    _, reason = choose(policies.Utility(value_usd=0.02), (0.6, 0.9), (0.001, 0.004))
    assert reason == "large has the highest utility: 0.02 USD x score 0.900 - 0.004 USD"
    unpriced = choose(policies.Utility(value_usd=0.02), (0.6, 0.9), (math.nan, math.nan))
    assert unpriced[0] == "large"
    assert "unknown cost" in unpriced[1]


def test_an_unknown_cost_is_not_a_low_one() -> None:
    for value in (0, 0.001, 1):
        assert choose(policies.Utility(value_usd=value), (0.1, 0.9), (0.5, math.nan))[0] == "small"
    assert choose(policies.Utility(value_usd=math.inf), (0.1, 0.9), (0.5, math.nan))[0] == "large"
    assert choose(policies.Floor(floor=0.05), (0.1, 0.9), (0.5, math.nan))[0] == "small"


def test_floor() -> None:
    scores, costs = (0.5, 0.8, 0.9), (1.0, 2.0, 3.0)
    assert choose(policies.Floor(floor=0.4), scores, costs)[0] == "small"
    assert choose(policies.Floor(floor=0.8), scores, costs)[0] == "large"
    name, reason = choose(policies.Floor(floor=0.95), scores, costs)
    assert (name, "no plan reaches" in reason) == ("huge", True)


def test_latency() -> None:
    scores, costs, latencies = (0.5, 0.8, 0.9), (1.0, 2.0, 3.0), (0.2, 0.5, 2.0)
    assert choose(policies.Latency(limit_s=1), scores, costs, latencies)[0] == "large"
    assert choose(policies.Latency(limit_s=1, value_usd=0), scores, costs, latencies)[0] == "small"
    name, reason = choose(policies.Latency(limit_s=0.1), scores, costs, latencies)
    assert (name, "no plan is expected within 0.1 s" in reason) == ("small", True)
    assert choose(policies.Latency(limit_s=1), (0.5, 0.9), (1.0, 1.0), (0.9, math.nan))[0] == "small"


@pytest.mark.parametrize(
    ("gain", "chosen"), [(0.3, "large"), (0.25, "large"), (0.2, "small"), (-0.5, "small")]
)
def test_threshold_on_a_pair(gain: float, chosen: str) -> None:
    pair = policies.Threshold(threshold=0.25, strong="large", weak="small")
    rate = policies.Threshold(threshold=0.625, strong="large", weak="small", win_rate=True)
    for policy in (pair, rate):
        assert choose(policy, (0.5, 0.5 + gain), (1.0, 2.0))[0] == chosen


@given(arrays(np.float64, (20, 2), elements=st.floats(0, 1)), st.floats(0.01, 1))
def test_without_names_two_plans_are_judged_as_a_pair(scores: FloatArray, threshold: float) -> None:
    costs, unknown = np.tile([1.0, 2.0], (20, 1)), np.full((20, 2), np.nan)
    context = PolicyContext(arms=("small", "large"))
    free = policies.Threshold(threshold=threshold)
    pair = policies.Threshold(threshold=threshold, strong="large", weak="small")
    one, other = (policy.choose(scores, costs, unknown, context).ranking for policy in (free, pair))
    np.testing.assert_array_equal(one, other)


def test_threshold_takes_the_cheapest_that_is_close_enough() -> None:
    scores, costs = (0.5, 0.8, 0.9), (1.0, 2.0, 3.0)
    picked = [choose(policies.Threshold(threshold=t), scores, costs)[0] for t in (0.05, 0.2, 0.5, -1)]
    assert picked == ["huge", "large", "small", "huge"]


def test_threshold_names_must_be_plans() -> None:
    with pytest.raises(ConfigError, match="'giant' is not among small, large"):
        choose(policies.Threshold(threshold=0, strong="giant", weak="small"), (0.1, 0.2), (1.0, 2.0))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("utility", {"value_usd": -1}),
        ("utility", {"value_usd": math.nan}),
        ("utility", {"value_usd": "much"}),
        ("utility", {"worth": 1}),
        ("floor", {}),
        ("floor", {"floor": 1.1}),
        ("latency", {"limit_s": -0.1}),
        ("threshold", {"threshold": 2}),
        ("threshold", {"threshold": -0.5, "win_rate": True}),
        ("threshold", {"threshold": 0.5, "strong": "a"}),
        ("threshold", {"threshold": 0.5, "strong": "a", "weak": "a"}),
    ],
)
def test_parameters_that_cannot_be(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        policies.create(name, **params)


def test_registry() -> None:
    assert policies.available()[:5] == ("utility", "threshold", "floor", "latency", "guarantee")
    assert isinstance(policies.create("floor", floor=0.5), policies.Floor)
    with pytest.raises(UnknownName, match="utility"):
        policies.get("utilty")
