"""Several plans in a pipeline: the policy picks one per query, and that one alone runs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import Constant, TableRouter
from suffice import policies
from suffice.build import build
from suffice.config import parse
from suffice.engine import Engine, Request
from suffice.errors import ConfigError
from suffice.pipeline import Pipeline, strongest
from suffice.plans.choose import Choose
from suffice.store import open_store
from suffice.types import Constraints, Query, Record
from test_plans import Talker

PLANS: list[dict[str, Any]] = [
    {"name": "single"},
    {
        "name": "mixture",
        "label": "pair",
        "proposers": ["small", "large"],
        "aggregator": "large",
        "repairs": 0.2,
    },
    {"name": "best_of", "n": 3, "repairs": 0.1},
]
SCORES = {"easy": [0.99, 0.99], "hard": [0.3, 0.5], "middling": [0.88, 0.5]}


def engine_of(plan: Choose, *, value_usd: float = 0.1, policy: str = "utility") -> Engine:
    models = Talker("small"), Talker("large")
    arms = ("small", "large")
    candidates = [model.candidate for model in models]
    params: dict[str, Any] = {"value_usd": value_usd} if policy == "utility" else {"threshold": 0.0}
    pipeline = Pipeline(
        name="auto",
        candidates=candidates,
        router=TableRouter(arms, lambda text: SCORES[text]),
        policy=policies.create(policy, **params),
        costs=Constant(arms, [0.0001, 0.002]),
        latencies=Constant(arms, [1.0, 2.0]),
        strongest=strongest(candidates),
        plan=plan,
    )
    made: dict[str, Any] = {model.candidate.name: model for model in models}
    return Engine(made, {"auto": pipeline}, open_store("sqlite:///:memory:"), retries=0)


def record_of(engine: Engine, text: str, **constraints: Any) -> Record:
    query = Query(text=text, constraints=Constraints(**constraints))
    return asyncio.run(engine.answer(Request(query=query))).record


@pytest.mark.parametrize(
    ("text", "plan", "roles"),
    [
        ("easy", "single", [""]),  # repairs 0.2 of 0.01 x 0.1 USD are worth less than they cost
        ("hard", "pair", ["propose", "propose", "aggregate"]),  # 0.1 x 0.2 x 0.5 is worth 0.0041 more
        ("middling", "best_of", ["sample", "sample"]),  # 0.1 x 0.1 x 0.12 is worth 0.0002 more
    ],
)
def test_the_policy_picks_the_plan_that_is_worth_its_cost(text: str, plan: str, roles: list[str]) -> None:
    engine = engine_of(Choose(PLANS))
    record = record_of(engine, text)
    assert record.decision.plan == plan
    assert [one.role for one in record.attempts if one.role != "cancelled"] == roles
    assert f"plan {plan}: " in record.decision.reason


def test_an_estimate_repairs_a_share_of_what_is_wrong() -> None:
    plan = Choose(PLANS)
    pipeline = engine_of(plan).pipelines["auto"]
    decision = pipeline.decide(Query(text="hard"), 0.0)
    assert (decision.plan, decision.candidate) == ("pair", "large")
    found = plan.estimate(Query(text="hard"), decision)
    assert found.quality == pytest.approx(0.5 + 0.2 * 0.5)
    assert found.cost_usd == pytest.approx(0.0001 + 0.002 + 0.002)
    assert found.latency_s == pytest.approx(2.0 + 2.0), "proposers side by side, then the aggregator"


def test_limits_of_the_request_and_the_pipeline_choose_among_plans() -> None:
    engine = engine_of(Choose(PLANS))
    assert record_of(engine, "hard", max_cost_usd=Decimal("0.003")).decision.plan == "single"
    assert record_of(engine, "hard", max_latency_s=3.0).decision.plan != "pair"
    cheap = engine_of(Choose(PLANS), value_usd=0.0)
    assert record_of(cheap, "hard").decision.plan == "single"
    tolerant = engine_of(Choose(PLANS), policy="threshold")
    assert record_of(tolerant, "hard").decision.plan == "pair"


def test_a_model_named_by_the_client_is_asked_alone() -> None:
    engine = engine_of(Choose(PLANS))
    record = asyncio.run(engine.answer(Request(query=Query(text="hard"), model="small"))).record
    assert (record.decision.plan, len(record.attempts)) == ("single", 1)


@pytest.mark.parametrize(
    ("plans", "complaint"),
    [
        ([], "at least one"),
        ([{"name": "single"}, {"name": "single"}], "label"),
        ([{"name": "cascade", "path": "x"}], "beforehand"),
        ([{"name": "mixture", "repairs": 2}], "repairs"),
        ([{"name": "mixture", "layres": 2}], "layres"),
    ],
)
def test_mistakes_are_named(plans: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Choose(plans)


def test_from_a_file() -> None:
    config = parse(
        """
models:
  - {name: small, provider: openai, model: gpt-4o-mini, api_key: k}
  - {name: large, provider: openai, model: gpt-4o, api_key: k}
store: "sqlite:///:memory:"
pipelines:
  routed:
    plan: {name: choose, plans: [{name: single}, {name: mixture, proposers: [small, large], repairs: 0.5}]}
""",
        file=Path("x.yaml"),
        environ={},
    )
    engine = build(config)
    decision = engine.pipelines["routed"].decide(Query(text="why?"), 0.0)
    assert decision.plan in ("single", "mixture")
    assert np.isfinite(decision.costs_usd).all()
