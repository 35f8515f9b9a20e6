"""Pacers: prices against brute force, the cap in every case, state, several budgets, and clocks."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice.budgets import pacing
from suffice.budgets.bound import lagrangian_bound, price_of
from suffice.budgets.pacing import Dual, Duals, OnMckp, Pacer, Resolve, Static, pick
from suffice.errors import ConfigError, UnknownName
from suffice.types import FloatArray

NAMES = ("resolve", "dual", "on_mckp", "static")


def stream(n: int = 400, k: int = 3, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Dearer arms are better in the mean, by how much depends on the query."""
    rng = np.random.default_rng(seed)
    costs = 10.0 ** (np.arange(k) - 4) * rng.uniform(0.5, 1.5, (n, k))
    rewards = np.clip(np.linspace(0.4, 0.9, k) + 0.3 * rng.standard_normal((n, k)), 0, 1)
    return rewards, costs


def run(pacer: Pacer, rewards: FloatArray, costs: FloatArray) -> float:
    total = 0.0
    for one, price in zip(rewards, costs, strict=True):
        worth = pacer.price(one, price, now=float(pacer.n_queries))
        arm = pick(one, price, worth, pacer.allowed(one, price))
        pacer.paid(0.0 if arm is None else float(price[arm]))
        total += 0.0 if arm is None else float(one[arm])
        assert pacer.spent_usd <= pacer.budget_usd
    return total / len(rewards)


class TestBound:
    def test_against_a_grid_of_prices(self) -> None:
        rewards, costs = stream(60)
        for budget in (2e-4, 1e-3, 5e-3, 1.0):
            bound, price = lagrangian_bound(rewards, costs, budget)
            grid = [0.0, *np.geomspace(1e-2, 1e6, 5_000)]
            slow = min(float((rewards - lam * costs).max(axis=1).mean() + lam * budget) for lam in grid)
            assert bound == pytest.approx(slow, abs=1e-4)
            assert bound <= slow + 1e-12
            assert price >= 0

    def test_no_choice_within_the_budget_beats_it(self) -> None:
        rewards, costs = stream(6, 3, seed=3)
        budget = 2e-3
        bound, _ = lagrangian_bound(rewards, costs, budget)
        rows = np.arange(6)
        best = max(
            float(rewards[rows, list(arms)].mean())
            for arms in product(range(3), repeat=6)
            if costs[rows, list(arms)].mean() <= budget
        )
        assert best <= bound + 1e-12
        assert bound - best <= 3 / 6

    def test_a_budget_that_does_not_bind_has_no_price(self) -> None:
        rewards, costs = stream(30)
        bound, price = lagrangian_bound(rewards, costs, 1e3)
        assert price == 0
        assert bound == pytest.approx(rewards.max(axis=1).mean())

    def test_less_than_the_cheapest_is_out_of_reach_unless_queries_may_be_refused(self) -> None:
        rewards, costs = stream(30)
        bound, price = lagrangian_bound(rewards, costs, 1e-6)
        assert bound == -math.inf and price == math.inf
        refusing, _ = lagrangian_bound(rewards, costs, 1e-6, may_refuse=True)
        assert 0 < refusing < 0.2
        assert lagrangian_bound(rewards, costs, 0.0, may_refuse=True)[0] == pytest.approx(0, abs=1e-9)

    def test_an_arm_that_is_not_to_be_had_counts_as_absent(self) -> None:
        rewards, costs = stream(40)
        without = rewards.copy()
        without[:, 1] = np.nan
        other = lagrangian_bound(rewards[:, [0, 2]], costs[:, [0, 2]], 1e-3)
        assert lagrangian_bound(without, costs, 1e-3) == pytest.approx(other)

    def test_equally_dear_arms(self) -> None:
        rewards = np.array([[0.2, 0.9]])
        assert lagrangian_bound(rewards, np.ones((1, 2)), 1.0)[0] == pytest.approx(0.9)

    @pytest.mark.parametrize(
        ("rewards", "costs", "budget"),
        [
            (np.zeros((2, 2)), np.zeros((2, 3)), 1.0),
            (np.zeros((0, 2)), np.zeros((0, 2)), 1.0),
            (np.zeros((1, 2)), np.zeros((1, 2)), -1.0),
            (np.zeros((1, 2)), np.zeros((1, 2)), math.nan),
            (np.full((1, 2), np.nan), np.zeros((1, 2)), 1.0),
            (np.zeros((1, 2)), np.array([[-1.0, 0.0]]), 0.0),
            (np.zeros((1, 2)), np.array([[math.inf, 0.0]]), 0.0),
        ],
    )
    def test_bad_input(self, rewards: FloatArray, costs: FloatArray, budget: float) -> None:
        with pytest.raises(ValueError, match=r"expected|no arm"):
            lagrangian_bound(rewards, costs, budget)


@pytest.mark.parametrize("name", NAMES)
class TestEveryPacer:
    def test_is_registered(self, name: str) -> None:
        assert name in pacing.available()
        assert pacing.get(name).name == name

    @pytest.mark.parametrize("budget", [1e-5, 1e-4, 5e-4, 3e-3, 1.0])
    def test_never_overspends(self, name: str, budget: float) -> None:
        rewards, costs = stream()
        for is_warm in (False, True):
            pacer = pacing.create(name, budget_usd=budget * 300, horizon=300.0)
            if is_warm:
                pacer.warm(rewards[:100], costs[:100])
            run(pacer, rewards[100:], costs[100:])
            assert pacer.left_usd >= 0

    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 10**6), log_budget=st.floats(-6, 0), n=st.integers(1, 40))
    def test_never_overspends_whatever_comes(self, name: str, seed: int, log_budget: float, n: int) -> None:
        rng = np.random.default_rng(seed)
        costs = 10 ** rng.uniform(-6, 0, (n, 4))
        rewards = rng.random((n, 4))
        rewards[rng.random((n, 4)) < 0.2] = np.nan
        pacer = pacing.create(name, budget_usd=10**log_budget, horizon=float(n))
        run(pacer, rewards, np.where(np.isnan(rewards), np.nan, costs))

    def test_goes_on_after_a_restart_as_if_nothing_had_happened(self, name: str) -> None:
        rewards, costs = stream(120)
        one = pacing.create(name, budget_usd=0.1, horizon=120.0)
        run(one, rewards[:60], costs[:60])
        other = pacing.create(name, budget_usd=0.1, horizon=120.0).restore(
            json.loads(json.dumps(one.state()))
        )
        assert run(one, rewards[60:], costs[60:]) == run(other, rewards[60:], costs[60:])
        assert one.state() == other.state()

    def test_a_state_of_another_or_none(self, name: str) -> None:
        pacer = pacing.create(name, budget_usd=1.0, horizon=10.0)
        with pytest.raises(ValueError, match="is needed"):
            pacer.restore({"name": "other"})
        with pytest.raises(ValueError, match="no state"):
            pacer.restore({"name": name})

    def test_bad_numbers(self, name: str) -> None:
        for given_ in ({"budget_usd": 0.0}, {"budget_usd": -1.0}, {"budget_usd": math.inf}, {"horizon": 0.0}):
            with pytest.raises(ConfigError):
                pacing.create(name, **{"budget_usd": 1.0, "horizon": 10.0, **given_})
        pacer = pacing.create(name, budget_usd=1.0, horizon=10.0)
        for cost in (-1.0, math.nan, math.inf):
            with pytest.raises(ValueError, match="was paid"):
                pacer.paid(cost)
        assert pacer.n_queries == 0 and pacer.spent_usd == 0

    def test_what_is_left_at_the_end_still_serves_the_cheapest(self, name: str) -> None:
        """The dear arm always looks best by far: every query is answered all the same."""
        rewards, costs = np.tile([0.1, 1.0], (100, 1)), np.tile([1e-3, 1e-1], (100, 1))
        pacer = pacing.create(name, budget_usd=0.5, horizon=100.0)
        served = 0
        for one, price in zip(rewards, costs, strict=True):
            arm = pick(one, price, pacer.price(one, price), pacer.allowed(one, price))
            served += arm is not None
            pacer.paid(0.0 if arm is None else float(price[arm]))
        assert served == 100

    def test_a_clock_that_jumps(self, name: str) -> None:
        rewards, costs = stream(50)
        pacer = pacing.create(name, budget_usd=0.05, horizon=3600.0, unit="seconds")
        for t, now in enumerate([0, 10, 20, 7220, -3580, 30, 40, 1e9, 50, 60]):
            arm = pick(rewards[t], costs[t], pacer.price(rewards[t], costs[t], float(now)), np.ones(3, bool))
            assert arm is not None
            allowed = pacer.allowed(rewards[t], costs[t])
            pacer.paid(float(costs[t, 0]) if allowed[0] else 0.0)
            assert pacer.queries_left >= 1
            assert pacer.left_usd >= 0


class TestQuality:
    @pytest.mark.parametrize(("name", "share"), [("resolve", 0.98), ("dual", 0.97), ("on_mckp", 0.75)])
    def test_close_to_the_bound(self, name: str, share: float) -> None:
        rewards, costs = stream(600)
        for budget in (5e-4, 2e-3, 6e-3):
            pacer = pacing.create(name, budget_usd=budget * 600, horizon=600.0)
            assert run(pacer, rewards, costs) >= share * lagrangian_bound(rewards, costs, budget)[0]

    def test_resolve_follows_prices_that_change(self) -> None:
        rewards, costs = stream(600)
        costs[300:, 1] *= 5
        pacer = Resolve(budget_usd=0.6, horizon=600.0)
        bound = lagrangian_bound(rewards, costs, 1e-3)[0]
        assert run(pacer, rewards, costs) >= 0.97 * bound

    def test_on_mckp_by_hand(self) -> None:
        """Psi(z) = (U e / L)^z L / e, gain / extra cost against it."""
        pacer = OnMckp(budget_usd=10.0, horizon=10.0, bins=1, least=1.0, most=4.0)
        rewards, costs = np.array([0.0, 0.5, 0.6]), np.array([0.0, 1.0, 2.0])
        pacer.price(rewards, costs)
        assert pacer.allowed(rewards, costs).tolist() == [True, True, False]  # Psi(0) = 1 / e = 0.37
        pacer.paid(5.0)
        pacer.price(rewards, costs)
        assert (4 * math.e) ** 0.5 / math.e > 0.5
        assert pacer.allowed(rewards, costs).tolist() == [True, False, False]

    def test_bins_spill_over(self) -> None:
        pacer = OnMckp(budget_usd=10.0, horizon=10.0, bins=5, least=1.0, most=1.0)
        one = np.array([0.5])
        for _ in range(2):
            pacer.price(one, one)
            pacer.paid(0.0)
        pacer.price(one, one)
        assert pacer.state()["bin"] == [1, 2.5, 0.0]

    def test_static_keeps_its_price(self) -> None:
        rewards, costs = stream(50)
        pacer = Static(budget_usd=1.0, horizon=50.0, price_per_usd=7.0)
        assert pacer.price(rewards[0], costs[0]) == 7.0
        warm = Static(budget_usd=0.05, horizon=50.0).warm(rewards, costs)
        assert warm.price(rewards[0], costs[0]) == price_of(rewards, costs, 1e-3)


class TestDuals:
    def test_the_penalty_is_the_sum_over_the_budgets_of_a_query(self) -> None:
        one, two = (Dual(budget_usd=usd, horizon=10.0) for usd in (1.0, 4.0))
        duals = Duals({"team": one, "all": two})
        rewards, costs = np.array([0.5, 0.6]), np.array([0.01, 0.02])
        both = duals.price(["team", "all"], rewards, costs)
        assert both == pytest.approx(one.lam / one.target_usd + two.lam / two.target_usd)
        assert duals.price(["all"], rewards, costs) == pytest.approx(two.lam / two.target_usd)

    def test_no_tenant_spends_anothers_money(self) -> None:
        rng = np.random.default_rng(0)
        rewards, costs = stream(600)
        budgets = {"a": 0.05, "b": 0.3, "all": 0.3}
        duals = Duals({name: Dual(budget_usd=usd, horizon=600.0) for name, usd in budgets.items()})
        for one, price in zip(rewards, costs, strict=True):
            names = (str(rng.choice(["a", "b"])), "all")
            worth = duals.price(names, one, price)
            arm = pick(one, price, worth, duals.allowed(names, one, price))
            duals.paid(names, 0.0 if arm is None else float(price[arm]))
        spent = {name: pacer.spent_usd for name, pacer in duals.pacers.items()}
        assert all(spent[name] <= budgets[name] for name in budgets)
        assert spent["a"] + spent["b"] == pytest.approx(spent["all"])
        assert spent["all"] >= 0.6 * budgets["all"]
        again = Duals({name: Dual(budget_usd=usd, horizon=600.0) for name, usd in budgets.items()})
        assert again.restore(json.loads(json.dumps(duals.state()))).state() == duals.state()

    def test_unknown_budgets(self) -> None:
        duals = Duals({"all": Dual(budget_usd=1.0, horizon=10.0)})
        for names in (["team"], []):
            with pytest.raises(ValueError, match="no budget"):
                duals.paid(names, 0.0)
        with pytest.raises(ValueError, match="at least one"):
            Duals({})


def test_unknown_pacer_and_parameters() -> None:
    with pytest.raises(UnknownName):
        pacing.create("hope", budget_usd=1.0, horizon=1.0)
    with pytest.raises(ConfigError):
        pacing.create("dual", budget_usd=1.0, horizon=1.0, speed=2)
    for name, params in (
        ("dual", {"rate": 0.0}),
        ("resolve", {"every": 0}),
        ("on_mckp", {"bins": 0}),
        ("on_mckp", {"least": 2.0, "most": 1.0}),
        ("static", {"price_per_usd": -1.0}),
        ("resolve", {"unit": "years"}),
    ):
        with pytest.raises(ConfigError):
            pacing.create(name, budget_usd=1.0, horizon=1.0, **params)


def test_pick_prefers_the_cheaper_of_equals_and_skips_the_unknown() -> None:
    rewards, costs = np.array([0.5, 0.5, np.nan]), np.array([2.0, 1.0, 0.0])
    everything = np.ones(3, bool)
    assert pick(rewards, costs, 0.0, everything) == 1
    assert pick(rewards, costs, 0.0, np.array([True, False, True])) == 0
    assert pick(rewards, costs, 0.0, np.zeros(3, bool)) is None
