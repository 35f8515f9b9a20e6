"""Plans behind the gateway: a real process, a fitted cascade from disk, and what is recorded."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import CHEAP, DEAR, Constant, TableRouter
from scenes import Received, Scene, answer, completion_events, sse, stall, status
from suffice import policies
from suffice.cascades import Recorded, create
from suffice.cli.checks_panel import check_routing
from suffice.config import Config, load, parse
from suffice.engine import CLIENT_GONE, Engine, Request
from suffice.errors import AllAttemptsFailed, ArtefactError, ConfigError, InvalidRequest, ProviderUnavailable
from suffice.outcomes import Outcomes
from suffice.pipeline import Pipeline, strongest
from suffice.plans.best_of import BestOf
from suffice.plans.confidence import AnswerConfidence
from suffice.plans.decompose import Decompose
from suffice.plans.mixture import Mixture
from suffice.plans.router_r1 import RouterR1
from suffice.plans.speculative import Speculative
from suffice.store import open_store
from suffice.types import Candidate, Query, Record
from test_gateway_clients import CHAT, Provider, Running
from test_plans import Talker, cascade

# --- the engine


def engine_of(plan: Any, *models: Talker) -> Engine:
    """The first is the cheapest, the last the strongest; the policy takes the strongest."""
    arms = [model.candidate.name for model in models]
    candidates: list[Candidate] = [model.candidate for model in models]
    pipeline = Pipeline(
        name="auto",
        candidates=candidates,
        router=TableRouter(arms, lambda text: [0.2 + 0.1 * i for i in range(len(arms))]),
        policy=policies.create("utility", value_usd=100.0),
        costs=Constant(arms, [0.001 * 4**i for i in range(len(arms))]),
        latencies=Constant(arms, [1.0] * len(arms)),
        strongest=strongest(candidates),
        plan=plan,
    )
    made: dict[str, Any] = {model.candidate.name: model for model in models}
    return Engine(made, {"auto": pipeline}, open_store("sqlite:///:memory:"), retries=0)


def record_of(engine: Engine, **fields: Any) -> Record:
    async def main() -> Record:
        result = await engine.answer(Request(query=Query(text="how are you"), **fields))
        await engine.store.drain()
        return result.record

    return asyncio.run(main())


def test_a_record_holds_every_call_and_the_sum_of_their_costs() -> None:
    models = Talker("small", logprob=-3.0), Talker("large", price=DEAR)
    engine = engine_of(cascade("small", "large"), *models)
    record = record_of(engine)
    assert (record.decision.plan, record.candidate) == ("cascade", "large")
    costs = [attempt.cost_usd for attempt in record.attempts]
    assert record.cost_usd == sum(cost for cost in costs if cost is not None)
    assert record.baseline_usd == costs[-1], "the strongest alone would have been asked once"
    assert "accepted answer 2" in record.decision.reason
    kept = engine.store.record(record.id)
    assert kept is not None
    assert [attempt.role for attempt in kept.attempts] == ["", ""]
    named = record_of(engine, model="small")
    assert (named.decision.plan, len(named.attempts)) == ("single", 1)


def test_parallel_calls_take_the_time_of_the_slowest() -> None:
    models = [Talker(name, delay_s=0.2) for name in ("a", "b", "c")] + [Talker("writer")]
    record = record_of(engine_of(Mixture(["a", "b", "c"], "writer"), *models))
    assert sum(attempt.latency_s for attempt in record.attempts) > 0.6
    assert record.latency_s < 0.45
    assert [attempt.role for attempt in record.attempts] == ["propose"] * 3 + ["aggregate"]


def test_what_failed_is_billed_as_far_as_it_is_known() -> None:
    engine = engine_of(BestOf(3), Talker("small", ProviderUnavailable("down"), price=CHEAP))
    with pytest.raises(AllAttemptsFailed) as caught:
        record_of(engine)
    asyncio.run(engine.store.drain())
    failed = engine.store.record(caught.value.record_id or "")
    assert failed is not None
    assert (failed.cost_usd, len(failed.attempts)) == (None, 4)


def test_who_leaves_in_the_middle_pays_for_what_was_answered() -> None:
    small, large = Talker("small", logprob=-3.0), Talker("large", delay_s=30.0)
    engine = engine_of(cascade("small", "large"), small, large)

    async def main() -> None:
        task = asyncio.ensure_future(engine.answer(Request(query=Query(text="x"))))
        await asyncio.sleep(0.2)
        assert large.n_running == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.store.drain()

    asyncio.run(main())
    (record,) = engine.store.records()
    assert (record.status, record.is_estimate, large.n_running) == (CLIENT_GONE, True, 0)
    assert record.cost_usd is not None
    assert record.cost_usd > 0


def test_who_leaves_a_stream_that_was_held_back_pays_it_all() -> None:
    engine = engine_of(cascade("small", "large"), Talker("small", "a b c d"), Talker("large"))

    async def main() -> str:
        streaming = await engine.open(Request(query=Query(text="x"), is_stream=True))
        assert (streaming.candidate, streaming.cost_usd) == ("small", Decimal("0.0000017"))
        await anext(streaming)
        await streaming.aclose()
        await engine.store.drain()
        return streaming.record_id

    record = engine.store.record(asyncio.run(main()))
    assert record is not None
    assert (record.status, record.cost_usd) == (CLIENT_GONE, Decimal("0.0000017"))
    assert not record.is_estimate


@pytest.mark.parametrize("is_stream", [False, True])
def test_logprobs_asked_for_twice_reach_no_client(is_stream: bool) -> None:
    confidence = AnswerConfidence()
    engine = engine_of(cascade("small", "large"), Talker("small", "a b", logprob=-0.1), Talker("large"))
    engine.confidence = confidence
    engine.models = {name: confidence.asking(model) for name, model in engine.models.items()}

    async def main() -> tuple[bytes, Record | None]:
        request = Request(query=Query(text="x"), is_stream=is_stream)
        if not is_stream:
            result = await engine.answer(request)
            return result.answer.body or b"", result.record
        streaming = await engine.open(request)
        sent = b"".join([chunk.data async for chunk in streaming])
        await streaming.aclose()
        return sent, streaming.record

    sent, record = asyncio.run(main())
    assert sent
    assert b"logprob" not in sent.replace(b'"logprobs":null', b"")
    assert record is not None
    assert record.confidence == pytest.approx(np.exp(-0.1))


def test_the_aggregator_is_named_though_a_proposer_failed() -> None:
    models = Talker("a", ProviderUnavailable("down")), Talker("writer", "x y"), Talker("b")
    engine = engine_of(Mixture(["a", "b"], "writer"), *models)

    async def main() -> str:
        streaming = await engine.open(Request(query=Query(text="x"), is_stream=True))
        _ = [chunk async for chunk in streaming]
        await streaming.aclose()
        return streaming.candidate

    assert asyncio.run(main()) == "writer"


def test_a_part_goes_where_the_pipelines_router_sends_it() -> None:
    def says(query: Query, options: Any) -> str:
        return '["an easy part", "a hard part"]' if "Split the request" in query.text else "said"

    models = Talker("small", says), Talker("large", says)
    engine = engine_of(Decompose(decomposer="large", aggregator="large"), *models)
    engine.pipelines["auto"].router = TableRouter(
        ["small", "large"], lambda text: [0.9, 0.1] if text == "an easy part" else [0.1, 0.9]
    )
    record = record_of(engine)
    parts = [attempt.candidate for attempt in record.attempts if attempt.role == "part"]
    assert sorted(parts) == ["large", "small"]
    assert "part 1: small; part 2: large" in record.decision.reason


# --- the configuration

MODELS = """\
models:
  - {name: small, provider: recorded}
  - {name: large, provider: recorded}
"""


@pytest.mark.parametrize(
    ("plan", "line", "key", "said"),
    [
        ("plan: {name: best_off}", 4, "plan", "no plan is called 'best_off'"),
        ("plan:\n  name: best_of\n  nn: 3", 6, "plan.nn", "unknown parameter 'nn'"),
        ("plan:\n  name: best_of\n  n: many", 6, "plan.n", "n is 'many'"),
        ("plan: {n: 3}", 4, "plan.n", "unknown parameter 'n'"),
        ("plan: {name: cascade}", 4, "plan", "path must be given"),
        ("plan:\n  name: best_of\n  n: 1", 6, "plan.n", "n is at least 2"),
        ("plan: {name: best_of, select: judge}", 4, "plan", "names who picks"),
        ("plan: {name: best_of, signal: samples}", 4, "plan", "'samples' cannot be read"),
        ("plan:\n  name: mixture\n  proposers: small", 6, "plan.proposers", "proposers is a list"),
        (
            "plan:\n  name: cascade\n  path: c\n  verification: {j: 3}",
            7,
            "plan.verification",
            "unknown field `j`",
        ),
        ("pipelines:\n  m:\n    plan: {name: mixture, depth: 2}", 6, "pipelines.m.plan.depth", "depth"),
        ("pipelines:\n  m:\n    plam: {name: mixture}", 6, "pipelines.m.plam", "did you mean plan?"),
        ("plan: [best_of]", 4, "plan", "object"),
        ("plan:\n  name: decompose\n  route: coin", 6, "plan.route", "route is 'coin'"),
        ("plan:\n  name: router_r1\n  max_steps: 1", 6, "plan.max_steps", "max_steps is at least 2"),
        ("plan:\n  name: speculative\n  drafts: a", 6, "plan.drafts", "unknown parameter 'drafts'"),
    ],
)
def test_a_wrong_plan_is_an_error_with_its_line(plan: str, line: int, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")) as caught:
        parse(MODELS + plan, file=Path("suffice.yaml"), environ={})
    assert (caught.value.line, caught.value.key) == (line, key)


def built(folder: Path, extra: str) -> Engine:
    from suffice.build import build

    (folder / "suffice.yaml").write_text(
        "models:\n"
        "  - {name: small, provider: openai, base_url: 'http://127.0.0.1:1', strength: 0.4}\n"
        "  - {name: large, provider: openai, base_url: 'http://127.0.0.1:1', strength: 0.9}\n"
        "router: {name: strongest}\n"
        f"store: 'sqlite:///{folder}/suffice.db'\n{extra}\n"
    )
    config: Config = load(folder / "suffice.yaml")
    return build(config)


def test_pipelines_have_plans_of_their_own(tmp_path: Path) -> None:
    engine = built(
        tmp_path,
        "plan: {name: best_of, n: 3}\n"
        "pipelines:\n"
        "  one: {plan: {name: single}}\n"
        "  mixed: {plan: {name: mixture, proposers: [small, large], aggregator: large}}\n",
    )
    checked = [one for one in check_routing(load(tmp_path / "suffice.yaml")) if one.name.startswith("plan")]
    assert [(one.name, one.status) for one in checked] == [("plan auto", "ok"), ("plan mixed", "ok")]
    try:
        found = {name: pipeline.plan.name for name, pipeline in engine.pipelines.items()}
        assert found == {"auto": "best_of", "one": "single", "mixed": "mixture"}
        decide = engine.decide(Request(query=Query(text="x"), model="auto:mixed"))
        assert asyncio.run(decide).plan == "mixture"
        threshold = engine.decide(Request(query=Query(text="x"), model="router-strongest-0.5"))
        assert asyncio.run(threshold).plan == "single"
    finally:
        asyncio.run(engine.close())


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("{name: mixture, proposers: [small, huge]}", "'huge' is not in the panel"),
        ("{name: best_of, select: judge, judge: huge}", "'huge' is not in the panel"),
        ("{name: cascade, path: nowhere/}", "no cascade at"),
        ("{name: decompose, descriptions: {huge: all}}", "'huge' is not in the panel"),
        ("{name: router_r1, models: [small, huge]}", "'huge' is not in the panel"),
        ("{name: speculative, verifier: huge}", "'huge' is not in the panel"),
    ],
)
def test_a_plan_that_cannot_work_stops_the_start(tmp_path: Path, plan: str, said: str) -> None:
    with pytest.raises((ConfigError, ArtefactError), match=said):
        built(tmp_path, f"plan: {plan}")
    found = [one for one in check_routing(load(tmp_path / "suffice.yaml")) if one.name == "plan auto"]
    assert [(one.status, said in one.detail) for one in found] == [("fail", True)]


# --- the gateway


def save_cascade(folder: Path) -> None:
    """AutoMix's threshold between small and large: below about half of the verdicts, large is asked."""
    rng = np.random.default_rng(0)
    share = rng.integers(0, 9, 200) / 8
    quality = np.stack([share >= 0.5, np.ones(200, bool)], axis=1).astype(np.float64)
    readings = np.stack([share, np.full(200, np.nan)], axis=1)
    answers = Outcomes.from_arrays(
        [f"question {i}" for i in range(200)],
        ["small", "large"],
        quality,
        cost_usd=np.tile([0.0001, 0.01], (200, 1)),
    )
    recorded = Recorded.of(answers, {"verification": readings})
    create("automix_threshold").fit(recorded, value_usd=0.02).save(folder / "cascade")


def speaks(text: str, verdict: Callable[[], str] | None = None, delay_s: float = 0.0) -> Scene:
    """An answer or a stream as asked; the verdict for a verifier's prompt."""

    async def play(request: Received, writer: Any) -> None:
        body = request.json
        is_check = str(body["messages"][-1]["content"]).rstrip().endswith("Check:")
        said = verdict() if is_check and verdict is not None else text
        if body.get("stream"):
            await sse(completion_events(said.split(" ")))(request, writer)
        else:
            await answer(said, delay_s=delay_s)(request, writer)

    return play


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("plans")
    save_cascade(folder)
    running = Running(
        folder,
        provider,
        """
pipelines:
  cascade: {plan: {name: cascade, path: cascade/, verification: {k: 4}}}
  vote: {plan: {name: best_of, n: 5, answers: number}}
  mixture: {plan: {name: mixture, proposers: [small, small, small], aggregator: large}}
  decompose: {plan: {name: decompose, decomposer: large, aggregator: large}}
  router_r1: {plan: {name: router_r1, policy: large, models: [small]}}
  speculative: {plan: {name: speculative, draft: small, verifier: large}}
  cached: {plan: {name: cascade, path: cascade/, verification: {k: 2}, cache: {ttl_s: 60}}}
  concatenate: {plan: {name: concatenate, size: 2, wait_s: 5}}
""",
    )
    yield running
    running.close()


def stored(gateway: Running, record_id: str) -> Record:
    store = open_store(f"sqlite:///{gateway.folder}/suffice.db")
    try:
        until = time.monotonic() + 3
        while (record := store.record(record_id)) is None and time.monotonic() < until:
            time.sleep(0.01)
        assert record is not None
        return record
    finally:
        store.close()


@pytest.mark.parametrize(
    ("verdict", "speaker", "n_calls"), [("Correct", "small", 5), ("Incorrect", "large", 6)]
)
def test_a_client_streams_through_a_cascade(
    gateway: Running, provider: Provider, verdict: str, speaker: str, n_calls: int
) -> None:
    provider.plays(speaks("small says so", lambda: f"Hm. Decision: {verdict}"), model="small")
    provider.plays(speaks("large knows better"), model="large")
    wish = {**CHAT, "model": "auto:cascade", "stream": True, "stream_options": {"include_usage": True}}
    with gateway.client() as client:
        raw = client.chat.completions.with_raw_response.create(**wish)
        chunks = list(raw.parse())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == {"small": "smallsaysso", "large": "largeknowsbetter"}[speaker]
    assert (raw.headers["x-suffice-model"], raw.headers["x-suffice-plan"]) == (speaker, "cascade")
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert usage.total_tokens == 12 * n_calls
    record = stored(gateway, raw.headers["x-suffice-id"])
    assert len(record.attempts) == n_calls
    assert [attempt.role for attempt in record.attempts[1:5]] == ["verify"] * 4
    assert record.cost_usd == sum(attempt.cost_usd or 0 for attempt in record.attempts)
    assert raw.headers["x-suffice-cost-usd"] == f"{record.cost_usd:f}"


def test_a_stream_of_a_cascade_is_valid_sse(gateway: Running, provider: Provider) -> None:
    provider.plays(speaks("small says", lambda: "Decision: Correct"), model="small")
    _, _, text = gateway.ask("/v1/chat/completions", {**CHAT, "model": "auto:cascade", "stream": True})
    events = text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    said = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert all(event.startswith("data: ") for event in events)
    assert all(one["object"] == "chat.completion.chunk" for one in said)
    assert not any("usage" in one for one in said), "usage was not asked for"


def test_whole_answers_carry_the_sums(gateway: Running, provider: Provider) -> None:
    provider.plays(speaks("small says", lambda: "Decision: Incorrect"), model="small")
    provider.plays(speaks("large says"), model="large")
    _, headers, body = gateway.ask("/v1/chat/completions", {**CHAT, "model": "auto:cascade"})
    assert body["choices"][0]["message"]["content"] == "large says"
    assert body["usage"]["total_tokens"] == 12 * 6
    assert headers["x-suffice-plan"] == "cascade"
    small, large = (7 * 0.1 + 5 * 0.4) / 1e6, (7 * 2.5 + 5 * 10) / 1e6
    assert float(headers["x-suffice-cost-usd"]) == pytest.approx(5 * small + large)
    assert float(headers["x-suffice-baseline-usd"]) == pytest.approx(large)


def test_a_model_that_is_down_in_the_middle(gateway: Running, provider: Provider) -> None:
    provider.plays(speaks("small says", lambda: "Decision: Incorrect"), model="small")
    provider.plays(status(503, "down"), model="large")
    code, headers, body = gateway.ask("/v1/chat/completions", {**CHAT, "model": "auto:cascade"})
    assert (code, headers["x-suffice-model"]) == (200, "small")
    assert body["choices"][0]["message"]["content"] == "small says"


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_was_asked_before_costs_nothing(gateway: Running, provider: Provider, is_stream: bool) -> None:
    provider.plays(speaks("small says", lambda: "Decision: Correct"), model="small")
    messages = [{"role": "user", "content": f"cached, {'streamed' if is_stream else 'whole'}?"}]
    wish: dict[str, Any] = {"messages": messages, "model": "auto:cached", "stream": is_stream}
    found = []
    for _ in range(2):
        with gateway.client() as client:
            raw = client.chat.completions.with_raw_response.create(**wish)
            parts = list(raw.parse()) if is_stream else [raw.parse()]
        choices = [part.choices[0] for part in parts if part.choices]
        texts = [choice.delta.content if is_stream else choice.message.content for choice in choices]
        headers = raw.headers
        found.append((headers["x-suffice-cache"], float(headers["x-suffice-cost-usd"]) > 0,
                      len(stored(gateway, headers["x-suffice-id"]).attempts),
                      "".join(text or "" for text in texts).replace(" ", "")))  # fmt: skip
    assert found == [("off", True, 3, "smallsays"), ("hit", False, 0, "smallsays")]


def test_two_questions_share_a_call(gateway: Running, provider: Provider) -> None:
    for model in ("small", "large"):
        provider.plays(speaks('["four", "six"]'), model=model)
    n_before = len(provider.upstream.requests)

    def ask(text: str) -> tuple[str | None, str]:
        with gateway.client() as client:
            messages: Any = [{"role": "user", "content": text}]
            raw = client.chat.completions.with_raw_response.create(
                model="auto:concatenate", messages=messages
            )
            return raw.parse().choices[0].message.content, raw.headers["x-suffice-cost-usd"]

    with ThreadPoolExecutor(2) as pool:
        (first, part), (second, rest) = pool.map(ask, ("2 + 2?", "3 + 3?"))
    assert {first, second} == {"four", "six"}
    assert float(part) + float(rest) == pytest.approx((7 * 2.5 + 5 * 10) / 1e6)
    assert len(provider.upstream.requests) - n_before == 1


def test_a_budget_with_room_for_the_first_alone(provider: Provider, tmp_path: Path) -> None:
    """Small costs 0.0000027 USD, large may take 0.01: the budget refuses it, and small's answer is given."""
    save_cascade(tmp_path)
    provider.plays(speaks("small says", lambda: "Decision: Incorrect"), model="small")
    n_large = sum(request.json["model"] == "large" for request in provider.upstream.requests)
    plan = "plan: {name: cascade, path: cascade/, verification: {k: 2}}\n"
    budget = "budgets: [{name: one, per: request, usd: 0.001, max_tokens: 500, wait_s: 0}]\n"
    running = Running(tmp_path, provider, plan + budget)
    try:
        wish = {**CHAT, "model": "auto"}
        code, headers, body = running.ask("/v1/chat/completions", wish)
        assert (code, headers["x-suffice-model"]) == (200, "small")
        assert body["choices"][0]["message"]["content"] == "small says"
        record = stored(running, headers["x-suffice-id"])
        assert [attempt.role for attempt in record.attempts] == ["", "verify", "verify", ""]
        assert "BudgetExceeded" in (record.attempts[-1].error or "")
        assert record.cost_usd == sum(attempt.cost_usd or 0 for attempt in record.attempts)
        assert sum(request.json["model"] == "large" for request in provider.upstream.requests) == n_large
    finally:
        running.close()


def test_a_vote_and_a_mixture(gateway: Running, provider: Provider) -> None:
    provider.plays(speaks("It is 4"), model="large")
    provider.plays(speaks("I think 5"), model="small")
    _, headers, body = gateway.ask("/v1/chat/completions", {**CHAT, "model": "auto:vote"})
    assert (body["choices"][0]["message"]["content"], headers["x-suffice-plan"]) == ("It is 4", "best_of")
    before = len(provider.upstream.requests)
    _, headers, body = gateway.ask("/v1/chat/completions", {**CHAT, "model": "auto:mixture"})
    assert (headers["x-suffice-plan"], headers["x-suffice-model"]) == ("mixture", "large")
    asked = [request.json for request in provider.upstream.requests[before:]]
    assert [one["model"] for one in asked] == ["small", "small", "small", "large"]
    assert "3. I think 5" in asked[-1]["messages"][0]["content"]
    assert body["usage"]["total_tokens"] == 48


def test_a_stream_of_a_mixture_has_the_sums_of_usage(gateway: Running, provider: Provider) -> None:
    provider.plays(speaks("one two"), model="small")
    provider.plays(speaks("the synthesis"), model="large")
    wish = {**CHAT, "model": "auto:mixture", "stream": True, "stream_options": {"include_usage": True}}
    with gateway.client() as client:
        chunks = list(client.chat.completions.create(**wish))
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [48]


def in_turn(*texts: str) -> Scene:
    """One text after the other, then the last one for ever."""
    left = list(texts)

    async def play(request: Received, writer: Any) -> None:
        await speaks(left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return play


EDIT = '{"verdict": "edit", "edits": [{"old": "small", "new": "Small"}]}'


@pytest.mark.parametrize(
    ("name", "large", "text", "speaker", "roles"),
    [
        (
            "decompose",
            ('["How far?", "How long?"]', "as written"),
            "as written",
            "large",
            ["decompose", "part", "part", "aggregate"],
        ),
        (
            "router_r1",
            ("<search>small: who?</search>", "<answer>so it is</answer>"),
            "so it is",
            "large",
            ["think", "search", "think"],
        ),
        ("speculative", (EDIT,), "Small says", "small", ["draft", "verify"]),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_plans_of_several_rounds(
    gateway: Running,
    provider: Provider,
    name: str,
    large: tuple[str, ...],
    text: str,
    speaker: str,
    roles: list[str],
    is_stream: bool,
) -> None:
    provider.plays(speaks("small says"), model="small")
    provider.plays(in_turn(*large), model="large")
    wish: dict[str, Any] = {**CHAT, "model": f"auto:{name}"}
    if is_stream:
        wish |= {"stream": True, "stream_options": {"include_usage": True}}
    with gateway.client() as client:
        raw = client.chat.completions.with_raw_response.create(**wish)
        found = list(raw.parse()) if is_stream else [raw.parse()]
    said = [one.choices[0].delta.content if is_stream else one.choices[0].message.content
            for one in found if one.choices]  # fmt: skip
    assert "".join(one or "" for one in said).replace(" ", "") == text.replace(" ", "")
    assert [one.usage.total_tokens for one in found if one.usage] == [12 * len(roles)]
    assert (raw.headers["x-suffice-model"], raw.headers["x-suffice-plan"]) == (speaker, name)
    record = stored(gateway, raw.headers["x-suffice-id"])
    assert [attempt.role for attempt in record.attempts] == roles
    assert record.cost_usd == sum(attempt.cost_usd or 0 for attempt in record.attempts)
    assert raw.headers["x-suffice-cost-usd"] == f"{record.cost_usd:f}"


@pytest.mark.parametrize(
    ("pipeline", "n_calls"),
    [
        ("auto:vote", 5),
        ("auto:mixture", 3),
        ("auto:cascade", 1),
        ("auto:decompose", 1),
        ("auto:router_r1", 1),
        ("auto:speculative", 1),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_leaves_cancels_every_call_within_a_second(
    gateway: Running, provider: Provider, pipeline: str, n_calls: int, is_stream: bool
) -> None:
    for model in ("small", "large"):
        provider.plays(stall(), model=model)
    n_asked, n_gone = len(provider.upstream.requests), provider.upstream.n_hangups
    client = gateway.client().with_options(timeout=0.6)

    def ask() -> None:
        with pytest.raises(Exception, match=r"[Tt]imed out"):
            client.chat.completions.create(**{**CHAT, "model": pipeline, "stream": is_stream})

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    client.close()
    assert len(provider.upstream.requests) - n_asked == n_calls
    assert provider.hangups(n_gone + n_calls, within_s=1)


def test_a_client_that_leaves_cancels_the_verdicts(gateway: Running, provider: Provider) -> None:
    """What runs for a reading is a child too."""

    async def play(request: Received, writer: Any) -> None:
        is_check = str(request.json["messages"][-1]["content"]).rstrip().endswith("Check:")
        await (stall() if is_check else speaks("small says"))(request, writer)

    provider.plays(play, model="small")
    n_asked, n_gone = len(provider.upstream.requests), provider.upstream.n_hangups
    with gateway.client().with_options(timeout=1.0) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**{**CHAT, "model": "auto:cascade"})
    assert provider.hangups(n_gone + 4, within_s=1)
    assert len(provider.upstream.requests) - n_asked == 5


PANEL_PLANS = (
    cascade("a", "b", "c"),
    cascade("a", "b", "c", signal="verification"),
    BestOf(2, select="judge", judge="b"),
    Mixture(["a", "b", "c"], "b", layers=2),
    Mixture(2, window=2),
    Decompose(),
    RouterR1("a"),
    Speculative("a", "b"),
)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_no_vision_or_tool_request_reaches_an_incapable_model(data: st.DataObject) -> None:
    kinds: list[Any] = ["fine", "", "I cannot help with that.", ProviderUnavailable("down")]
    skills = st.frozensets(st.sampled_from(["vision", "tools", "json", "logprobs"]))
    models = [
        Talker(
            name,
            data.draw(st.sampled_from(kinds)),
            logprob=data.draw(st.sampled_from([-0.1, -3.0])),
            capabilities=data.draw(skills) | {"streaming"},
        )
        for name in ("a", "b", "c")
    ]
    needs = frozenset(data.draw(st.sets(st.sampled_from(["vision", "tools"]), min_size=1)))
    engine = engine_of(data.draw(st.sampled_from(PANEL_PLANS)), *models)
    query = Query(text="what is this", needs=needs)

    async def main() -> None:
        request = Request(query=query, is_stream=data.draw(st.booleans()))
        try:
            if request.is_stream:
                streaming = await engine.open(request)
                _ = [chunk async for chunk in streaming]
                await streaming.aclose()
            else:
                await engine.answer(request)
        except (AllAttemptsFailed, InvalidRequest):
            pass
        finally:
            await engine.store.drain()
            engine.store.close()

    asyncio.run(main())
    for model in models:
        assert not model.asked or needs <= model.candidate.capabilities
