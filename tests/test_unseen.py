"""Candidates that the router never saw: scored by prior where anything is known of them, and said so."""

from __future__ import annotations

from decimal import Decimal

import pytest

from suffice import policies
from suffice.embedders import HashedNgrams
from suffice.outcomes import Outcomes
from suffice.pipeline import Pipeline, strongest
from suffice.routers import create, prior_cost_model, prior_latency_model
from suffice.types import Candidate, Constraints, Price, Query

QUERY = Query(text="what is a monad")


def candidate(name: str, usd: str | None, **fields: object) -> Candidate:
    price = (
        Price() if usd is None else Price(input_usd_per_mtok=Decimal(usd), output_usd_per_mtok=Decimal(usd))
    )
    return Candidate(name=name, provider="p", model=name, price=price, **fields)  # type: ignore[arg-type]


CHEAP, DEAR = candidate("cheap", "0.1"), candidate("dear", "10")


def pipeline(*new: Candidate, value_usd: float = float("inf")) -> Pipeline:
    outcomes = Outcomes.from_arrays(
        [f"question {i}" for i in range(20)], ("cheap", "dear"), [[0.4, 0.8]] * 20
    )
    panel = (*new, CHEAP, DEAR)
    return Pipeline(
        name="auto",
        candidates=panel,
        router=create("knn", HashedNgrams()).fit(outcomes),
        policy=policies.create("utility", value_usd=value_usd),
        costs=prior_cost_model(outcomes.arms, {c.name: c.price for c in panel}),
        latencies=prior_latency_model(outcomes.arms),
        strongest=strongest(panel),
    )


def test_a_stated_strength_is_its_score_and_the_list_price_its_cost() -> None:
    decision = pipeline(candidate("new", "1", strength=0.9)).decide(QUERY, 0.0)
    assert decision.candidate == "new"
    assert decision.of(decision.scores, "new") == pytest.approx(0.9)
    cost = {name: decision.of(decision.costs_usd, name) for name in ("cheap", "new", "dear")}
    assert cost["new"] == pytest.approx(10 * (cost["cheap"] or 0)) == pytest.approx((cost["dear"] or 0) / 10)
    assert "new scored by prior" in decision.reason


def test_without_strength_the_price_says_it() -> None:
    decision = pipeline(candidate("new", "1"), value_usd=0).decide(QUERY, 0.0)
    score = decision.of(decision.scores, "new")
    assert score is not None and 0.4 < score < 0.8
    assert decision.ranking == ("cheap", "new", "dear")
    assert "price" in decision.reason


def test_one_of_which_nothing_is_known_comes_last() -> None:
    decision = pipeline(candidate("new", None)).decide(QUERY, 0.0)
    assert decision.ranking[-1] == "new" and "new" not in decision.arms
    assert "prior" not in decision.reason


def test_limits_hold_for_it_too() -> None:
    routed = pipeline(candidate("new", "1", strength=0.99, context_window=3))
    assert routed.decide(Query(text="x" * 100), 0.0).candidate == "dear"
    only = Query(text="hi", constraints=Constraints(models=("new",)))
    assert routed.decide(only, 0.0).ranking == ("new",)
    poor = Query(text="hi", constraints=Constraints(max_cost_usd=Decimal("0.0005")))
    assert routed.decide(poor, 0.0).candidate in ("new", "cheap")


def test_all_seen_needs_no_prior() -> None:
    decision = pipeline().decide(QUERY, 0.0)
    assert decision.arms == ("cheap", "dear") and "prior" not in decision.reason
