"""Cost and latency models: what is learnt from tokens, and prices at the time of asking."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from suffice import routers
from suffice.outcomes import Outcomes
from suffice.routers import ObservedCostModel, TokenCostModel
from suffice.routers.costs import CostCaps
from suffice.types import Price, PriceTier, Query, Usage

RNG = np.random.default_rng(0)
N_BYTES = RNG.integers(20, 4000, 300)
TEXTS = ["x" * n for n in N_BYTES]
ARMS = ("terse", "wordy", "unseen")


def price(into: str, out: str, tiers: tuple[PriceTier, ...] = ()) -> Price:
    return Price(input_usd_per_mtok=Decimal(into), output_usd_per_mtok=Decimal(out), tiers=tiers)


TIERS = (
    PriceTier(min_prompt_tokens=100_000, input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(20)),
)
PRICES = {"terse": price("3", "15"), "wordy": price("0.1", "0.4")}


def table() -> Outcomes:
    """Four bytes a token; answers of 50 and of about 200 tokens, one arm without data."""
    unknown = np.full(300, np.nan)
    prompt = np.column_stack((N_BYTES / 4, N_BYTES / 4 + 10, unknown))
    completion = np.column_stack((np.full(300, 50.0), 100 + 15 * np.log1p(N_BYTES), unknown))
    return Outcomes.from_arrays(
        TEXTS,
        ARMS,
        RNG.random((300, 3)),
        prompt_tokens=prompt,
        completion_tokens=completion,
        latency_s=completion / 100,
    )


def test_tokens_times_price() -> None:
    model = routers.fit_cost_model(table(), PRICES)
    assert isinstance(model, TokenCostModel)
    assert model.arms == ARMS
    for n in (100, 2000):
        found = model.costs([Query(text="y" * n)])[0]
        for arm, tokens in (("terse", (n // 4, 50)), ("wordy", (n // 4 + 10, 100 + 15 * np.log1p(n)))):
            usage = Usage(prompt_tokens=tokens[0], completion_tokens=round(tokens[1]))
            exact = PRICES[arm].cost_usd(usage)
            assert exact is not None
            assert found[ARMS.index(arm)] == pytest.approx(float(exact), rel=0.02)
        assert np.isnan(found[2])


def test_no_answer_is_expected_to_cost_more_than_its_limit_allows() -> None:
    prices = [price("1", "10"), price("10", "100"), Price(), price("1", "10", TIERS)]
    caps = CostCaps(prices, [200, None, 200, 200])
    query, costs = Query(text="x" * 300), np.array([[2.5e-3, 2.5e-2, 2.5e-3, 2.5e-3]])
    assert not caps.is_idle and CostCaps(prices, [None, 4096, None, None]).is_idle
    assert caps.capped(costs, query, 5)[0] == pytest.approx([1.5e-4, 1.5e-3, 2.5e-3, 2.5e-3])
    assert caps.capped(costs, query, None)[0] == pytest.approx([2.1e-3, 2.5e-2, 2.5e-3, 2.5e-3])
    assert np.isnan(caps.capped(np.full((1, 4), np.nan), query, 5)).all()


def test_a_price_change_needs_no_retraining(tmp_path: Path) -> None:
    routers.fit_cost_model(table()).save(tmp_path)
    one = routers.load_cost_model(tmp_path, PRICES)
    twice = {arm: price(str(int(i)), str(int(o))) for arm, (i, o) in {"terse": (6, 30)}.items()}
    other = routers.load_cost_model(tmp_path, twice)
    query = [Query(text="hello " * 50)]
    assert other.costs(query)[0, 0] == pytest.approx(2 * one.costs(query)[0, 0])
    assert np.isnan(other.costs(query)[0, 1]), "no price, no recorded cost: unknown"
    assert isinstance(one, TokenCostModel)
    np.testing.assert_array_equal(one.with_prices(twice).costs(query), other.costs(query))


def test_tiers_hold_from_their_length_on() -> None:
    tier = PriceTier(
        min_prompt_tokens=500, input_usd_per_mtok=Decimal(6), output_usd_per_mtok=Decimal("22.5")
    )
    flat, tiered = (
        routers.fit_cost_model(table(), {"terse": price("3", "15", tiers)}) for tiers in ((), (tier,))
    )
    short, long = [Query(text="x" * 400)], [Query(text="x" * 3900)]
    assert tiered.costs(short)[0, 0] == flat.costs(short)[0, 0]
    assert tiered.costs(long)[0, 0] == pytest.approx((975 * 6 + 50 * 22.5) / 1e6, rel=0.02)


def test_a_local_model_costs_its_seconds() -> None:
    model = routers.fit_cost_model(table(), {"terse": Price(usd_per_cpu_hour=Decimal("0.36"))})
    assert model.costs([Query(text="x" * 100)])[0, 0] == pytest.approx(0.5 * 1e-4, rel=0.01)


def test_recorded_costs_where_there_are_no_tokens() -> None:
    costs = np.column_stack((N_BYTES * 1e-6, np.full(300, 2e-4)))
    outcomes = Outcomes.from_arrays(TEXTS, ARMS[:2], RNG.random((300, 2)), cost_usd=costs)
    model = routers.fit_cost_model(outcomes, PRICES)
    assert isinstance(model, ObservedCostModel)
    np.testing.assert_allclose(model.costs([Query(text="x" * 1000)]), [[1e-3, 2e-4]], rtol=0.02)


def test_nothing_known_is_nan_throughout() -> None:
    outcomes = Outcomes.from_arrays(["a", "b"], ARMS[:2], [[0.0, 1.0], [1.0, 1.0]])
    assert np.isnan(routers.fit_cost_model(outcomes, PRICES).costs([Query(text="a")])).all()
    assert np.isnan(routers.fit_latency_model(outcomes).latencies([Query(text="a")])).all()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_queries_predict_what_was_seen(n: int) -> None:
    costs = np.linspace(1e-4, 2e-4, n)[:, None]
    outcomes = Outcomes.from_arrays([f"text {i}" for i in range(n)], ["m"], np.ones((n, 1)), cost_usd=costs)
    found = routers.fit_cost_model(outcomes).costs([Query(text="text 9")])[0, 0]
    assert costs.min() <= found <= costs.max()


def test_costs_are_never_negative_and_grow_without_bound() -> None:
    model = routers.fit_cost_model(table(), PRICES)
    lengths = [0, 1, 10_000, 1_000_000]
    found = model.costs([Query(text="x" * n) for n in lengths])[:, :2]
    assert (found > 0).all()
    assert (np.diff(found, axis=0) >= 0).all()
    assert found[3, 0] == pytest.approx(0.75, rel=0.05), "a megabyte is 250,000 tokens at 3 USD a million"


def test_the_whole_chat_is_paid_for() -> None:
    model = routers.fit_cost_model(table(), PRICES)
    turns = [{"role": "user", "content": "x" * 1000}, {"role": "assistant", "content": "y" * 1000}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "z" * 1000}]}]
    chat = Query.from_messages([*turns, *parts])
    np.testing.assert_array_equal(model.costs([chat]), model.costs([Query(text="x" * 3000)]))


def test_bytes_count_not_characters() -> None:
    model = routers.fit_cost_model(table(), PRICES)
    np.testing.assert_array_equal(model.costs([Query(text="你" * 100)]), model.costs([Query(text="x" * 300)]))


def test_no_queries() -> None:
    assert routers.fit_cost_model(table(), PRICES).costs([]).shape == (0, 3)
    assert routers.fit_latency_model(table()).latencies([]).shape == (0, 3)


def test_latencies(tmp_path: Path) -> None:
    model = routers.fit_latency_model(table())
    found = model.latencies([Query(text="x" * 1000)])[0]
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(1 + 0.15 * np.log1p(1000), rel=0.02)
    assert np.isnan(found[2])
    model.save(tmp_path)
    np.testing.assert_array_equal(
        routers.load_latency_model(tmp_path).latencies([Query(text="x" * 1000)])[0], found
    )


def test_before_any_data() -> None:
    model = routers.prior_cost_model(ARMS, PRICES)
    found = model.costs([Query(text="x" * 4000)])[0]
    assert found[0] > found[1] > 0
    assert np.isnan(found[2])
    assert np.isnan(routers.prior_latency_model(ARMS).latencies([Query(text="x")])).all()
