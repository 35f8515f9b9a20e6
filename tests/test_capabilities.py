"""Whatever the panel, the plan and the answers: no request reaches a model that cannot serve it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fakes import Constant, TableRouter
from suffice import policies
from suffice.engine import Engine, Request
from suffice.errors import AllAttemptsFailed, InvalidRequest, ProviderRejected, ProviderUnavailable
from suffice.pipeline import BYTES_PER_TOKEN, Pipeline, strongest
from suffice.plans import Plan, Single
from suffice.plans.best_of import BestOf
from suffice.plans.choose import Choose
from suffice.plans.decompose import Decompose
from suffice.plans.mixture import Mixture
from suffice.plans.router_r1 import RouterR1
from suffice.plans.speculative import Speculative
from suffice.routers.ruleset import Rule, RuleSet
from suffice.store import open_store
from suffice.types import Constraints, Query
from test_plans import Talker, cascade

NAMES: Final = ("a", "b", "c", "d")
NEEDS: Final = ("vision", "tools", "json")
SAID: Final = (
    "ans = 4",
    "",
    "I cannot help with that.",
    "1",
    '["how far", "how long"]',
    '[{"query": "how far", "after": [], "model": "b"}, {"query": "how long", "after": [1], "model": "c"}]',
    "<search> d: how far </search>",
    "<answer> 4 </answer>",
    '{"verdict": "accept"}',
    '{"verdict": "rewrite"}',
    "Incorrect",
)
IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def _mixture(draw: st.DrawFn) -> Plan:
    named = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)
    window, layers = draw(st.sampled_from([None, 2])), draw(st.integers(1, 2))
    proposers = draw(st.one_of(named, st.integers(1, 4)))
    return Mixture(proposers, draw(st.sampled_from([None, *NAMES])), layers, window)


def _best_of(draw: st.DrawFn) -> Plan:
    select = draw(st.sampled_from(["majority", "certainty", "judge"]))
    judge = draw(st.sampled_from(NAMES)) if select == "judge" else None
    return BestOf(draw(st.integers(2, 4)), select, judge=judge, stop_early=draw(st.booleans()))


def _cascade(draw: st.DrawFn) -> Plan:
    arms = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    return cascade(*arms, signal=draw(st.sampled_from(["verification", "normalised_probability"])))


def _speculative(draw: st.DrawFn) -> Plan:
    either = st.sampled_from([None, *NAMES])
    return Speculative(draw(either), draw(either))


def _decompose(draw: st.DrawFn) -> Plan:
    either = st.sampled_from([None, *NAMES])
    return Decompose(draw(either), draw(either), draw(st.sampled_from(["router", "model"])))


def _router_r1(draw: st.DrawFn) -> Plan:
    return RouterR1(draw(st.sampled_from([None, *NAMES])))


def _choose(draw: st.DrawFn) -> Plan:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
    several = {
        "name": "mixture",
        "proposers": names,
        "aggregator": draw(st.sampled_from(NAMES)),
        "repairs": 0.9,
    }
    return Choose([several, {"name": "best_of", "n": 2, "repairs": draw(st.sampled_from([0.0, 1.0]))}])


PLANS: Final[tuple[Callable[[st.DrawFn], Plan], ...]] = (
    lambda draw: Single(),
    _cascade,
    _best_of,
    _mixture,
    _speculative,
    _decompose,
    _router_r1,
    _choose,
)


@st.composite
def plan(draw: st.DrawFn) -> Plan:
    return draw(st.sampled_from(PLANS))(draw)


@st.composite
def talker(draw: st.DrawFn, name: str) -> Talker:
    """Of any abilities, unknown ones among them, that says and fails as it likes."""
    known = draw(st.frozensets(st.sampled_from([*NEEDS, "logprobs", "streaming"])))
    errors: list[Any] = [ProviderUnavailable("down"), ProviderRejected("no")]
    says = draw(st.lists(st.sampled_from([*SAID, *errors]), min_size=1, max_size=5))
    return Talker(
        name,
        says,
        logprob=draw(st.sampled_from([-0.1, -3.0])),
        capabilities=known,
        context_window=draw(st.sampled_from([None, 900, 100_000])),
    )


@st.composite
def query(draw: st.DrawFn) -> Query:
    needs = draw(st.frozensets(st.sampled_from(NEEDS), max_size=2))
    text = draw(st.sampled_from(["how far and how long?", "why? " * 1_000]))
    content: Any = [{"type": "text", "text": text}, IMAGE] if "vision" in needs else text
    allowed = draw(st.one_of(st.just(()), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)))
    return Query(
        text=text,
        messages=({"role": "user", "content": content},),
        needs=needs,
        constraints=Constraints(models=tuple(allowed)),
    )


def can_serve(model: Talker, asked: Query, rules: RuleSet) -> bool:
    candidate, window = model.candidate, model.candidate.context_window
    is_allowed = not asked.constraints.models or candidate.name in asked.constraints.models
    is_able = all(candidate.allows(need) for need in asked.needs)
    fits = window is None or window >= len(asked.text.encode()) / BYTES_PER_TOKEN
    return is_allowed and is_able and fits and bool(rules.allowed(asked, [candidate.name])[0][0])


async def ask(engine: Engine, request: Request) -> None:
    if request.is_stream:
        streaming = await engine.open(request)
        async for _ in streaming:
            pass
        await streaming.aclose()
    else:
        await engine.answer(request)


@settings(max_examples=200, deadline=None)
@given(
    plan=plan(),
    models=st.tuples(*(talker(name) for name in NAMES)),
    asked=query(),
    scores=st.lists(st.sampled_from([0.1, 0.5, 0.5, 0.9]), min_size=4, max_size=4),
    n_scored=st.integers(2, 4),
    avoided=st.sampled_from([None, *NAMES]),
    is_stream=st.booleans(),
)
def test_no_request_reaches_a_model_that_cannot_serve_it(
    plan: Plan,
    models: tuple[Talker, ...],
    asked: Query,
    scores: list[float],
    n_scored: int,
    avoided: str | None,
    is_stream: bool,
) -> None:
    known, rules = NAMES[:n_scored], RuleSet([Rule(avoid=(avoided,))] if avoided else [])
    candidates = [model.candidate for model in models]
    pipeline = Pipeline(
        name="auto",
        candidates=candidates,
        router=TableRouter(known, lambda text: scores[:n_scored]),
        policy=policies.create("utility", value_usd=0.01),
        costs=Constant(known, np.geomspace(0.001, 0.01, n_scored).tolist()),
        latencies=Constant(known, [1.0] * n_scored),
        strongest=strongest(candidates),
        rules=rules,
        plan=plan,
    )
    by_name: dict[str, Any] = dict(zip(NAMES, models, strict=True))
    engine = Engine(by_name, {"auto": pipeline}, open_store("sqlite:///:memory:"), retries=0)
    able = [model for model in models if can_serve(model, asked, rules)]
    event(f"{plan.name}, {'refused' if not able else 'some can' if len(able) < 4 else 'all can'}")

    async def main() -> str:
        try:
            await ask(engine, Request(query=asked, is_stream=is_stream))
        except (InvalidRequest, AllAttemptsFailed) as error:
            return type(error).__name__
        finally:
            await engine.close()
        return ""

    came_of_it = asyncio.run(main())
    if not able:
        assert came_of_it == "InvalidRequest"
    for model in models:
        if model not in able:
            assert not model.asked, f"{model.candidate.name} was asked by {plan.name}"
