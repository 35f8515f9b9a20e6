"""The core: who is asked, what happens when they fail, and what is recorded."""

import asyncio
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fakes import CHEAP, DEAR, Constant, FakeModel, TableRouter
from suffice import policies
from suffice.engine import CLIENT_GONE, Engine, Request, Result
from suffice.errors import (
    AllAttemptsFailed,
    ContextOverflow,
    EmbedderError,
    InvalidRequest,
    NotFound,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    UnknownModel,
)
from suffice.pipeline import Pipeline, strongest
from suffice.store import open_store
from suffice.types import Caller, Candidate, Constraints, Feedback, Options, Price, Query


def make_engine(*models: FakeModel, scores: Any = None, value_usd: float = 1.0, **options: Any) -> Engine:
    """An engine over fake models; the first is the weakest, the last the strongest."""
    arms = [model.candidate.name for model in models]
    score = scores or (lambda text: [0.2 + 0.1 * i for i in range(len(arms))])
    candidates = [model.candidate for model in models]
    pipeline = Pipeline(
        name="auto",
        candidates=candidates,
        router=TableRouter(arms, score),
        policy=policies.create("utility", value_usd=value_usd),
        costs=Constant(arms, [0.001 * 4**i for i in range(len(arms))]),
        latencies=Constant(arms, [1.0] * len(arms)),
        strongest=strongest(candidates),
        router_name="table",
    )
    return Engine(
        {m.candidate.name: m for m in models}, {"auto": pipeline}, open_store("sqlite:///:memory:"), **options
    )


def ask(engine: Engine, text: str = "how are you", model: str = "auto", **fields: Any) -> Result:
    query = fields.pop("query", None) or Query(text=text)

    async def run() -> Result:
        result = await engine.answer(Request(query=query, model=model, **fields))
        await engine.store.drain()
        return result

    return asyncio.run(run())


def test_the_policy_picks_by_value() -> None:
    small, large = FakeModel("small"), FakeModel("large", price=DEAR)
    assert ask(make_engine(small, large, value_usd=100.0)).answer.candidate == "large"
    assert ask(make_engine(small, large, value_usd=0.0)).answer.candidate == "small"
    assert ask(make_engine(small, large, value_usd=math.inf)).answer.candidate == "large"


def test_a_named_model_is_asked_without_a_router() -> None:
    small, large = FakeModel("small"), FakeModel("large")
    result = ask(make_engine(small, large, value_usd=100.0), model="small")
    assert (result.answer.candidate, result.decision.policy) == ("small", "named")
    assert result.decision.propensities == (1.0,)


def test_routellm_model_names() -> None:
    small, large = FakeModel("small", price=CHEAP), FakeModel("large", price=DEAR)
    engine = make_engine(small, large)
    assert ask(engine, model="router-table-0.05").answer.candidate == "large"
    assert ask(engine, model="router-table-0.99").answer.candidate == "small"
    for name in ("router-table-2", "router-table-x", "router-table-"):
        with pytest.raises(InvalidRequest, match="threshold"):
            ask(engine, model=name)
    with pytest.raises(UnknownModel):
        ask(engine, model="router-other-0.5")


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match="small"):
        ask(make_engine(FakeModel("small")), model="gpt-9")


def test_the_next_in_the_ranking_answers_when_the_first_fails() -> None:
    broken = ProviderUnavailable("refused", candidate="large")
    small, large = FakeModel("small"), FakeModel("large", broken)
    engine = make_engine(small, large, value_usd=100.0, retries=1)
    result = ask(engine)
    assert result.answer.candidate == "small"
    assert large.n_calls == 2
    assert [attempt.candidate for attempt in result.record.attempts] == ["large", "large", "small"]
    assert result.record.attempts[-1].error is None
    assert result.decision.candidate == "large", "the propensity belongs to the intended arm"


def test_a_passing_failure_is_tried_again() -> None:
    model = FakeModel("small", ProviderUnavailable("reset"), "fine now")
    assert ask(make_engine(model, retries=1)).answer.content == "fine now"


def test_a_timeout_and_an_overflow_go_on_at_once() -> None:
    for error in (ProviderTimeout("slow"), ContextOverflow("too long", upstream_status=400)):
        small, large = FakeModel("small"), FakeModel("large", error)
        assert ask(make_engine(small, large, value_usd=100.0)).answer.candidate == "small"
        assert large.n_calls == 1


def test_a_long_retry_after_is_not_waited_for_while_others_can_answer() -> None:
    limited = ProviderRateLimited("busy", retry_after_s=60)
    small, large = FakeModel("small"), FakeModel("large", limited)
    assert ask(make_engine(small, large, value_usd=100.0, retries=3)).answer.candidate == "small"
    assert large.n_calls == 1


def test_two_refusals_are_the_requests_fault() -> None:
    models = [FakeModel(n, ProviderRejected("bad schema", upstream_status=400)) for n in ("a", "b", "c")]
    with pytest.raises(AllAttemptsFailed) as caught:
        ask(make_engine(*models))
    assert sum(model.n_calls for model in models) == 2
    assert (caught.value.status, caught.value.code) == (400, "provider_rejected")
    assert caught.value.type == "invalid_request_error"
    assert str(caught.value).count("bad schema") == 1


def test_a_prompt_too_long_for_all_has_the_code_that_clients_branch_on() -> None:
    with pytest.raises(AllAttemptsFailed) as caught:
        ask(make_engine(FakeModel("a", ContextOverflow("8192 tokens", upstream_status=400))))
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.body()["error"]["code"] == "context_length_exceeded"


def test_what_cannot_pass_is_not_tried_again() -> None:
    model = FakeModel("a", ProviderUnavailable("no model file", is_retryable=False))
    with pytest.raises(AllAttemptsFailed):
        ask(make_engine(model, retries=3))
    assert model.n_calls == 1


def test_when_all_fail_the_error_says_how_and_is_recorded() -> None:
    small, large = (
        FakeModel("small", ProviderUnavailable("down")),
        FakeModel("large", ProviderTimeout("slow")),
    )
    engine = make_engine(small, large, retries=0)
    with pytest.raises(AllAttemptsFailed, match="down") as caught:
        ask(engine)
    assert caught.value.record_id is not None
    asyncio.run(engine.store.drain())
    record = engine.store.record(caught.value.record_id)
    assert record is not None
    assert record.candidate is None
    assert record.cost_usd is None, "unknown is not 0"
    assert record.status in (502, 504)


def test_a_deadline_ends_the_retries() -> None:
    model = FakeModel("small", ProviderRateLimited("busy", retry_after_s=0.2))
    with pytest.raises(AllAttemptsFailed):
        ask(make_engine(model, retries=50, timeout_s=0.5))
    assert model.n_calls <= 4
    assert all((options.timeout_s or 9) <= 0.5 for options in model.options)


def collect(engine: Engine, **fields: Any) -> tuple[str, Any, Any]:
    async def run() -> tuple[str, Any, Any]:
        streaming = await engine.open(Request(query=Query(text="how are you"), is_stream=True, **fields))
        text = ""
        error = None
        try:
            async for chunk in streaming:
                text += chunk.text
        except ProviderError as raised:
            error = raised
        await streaming.aclose()
        await engine.store.drain()
        return text, streaming, error

    return asyncio.run(run())


def test_a_stream_falls_back_before_its_first_content() -> None:
    small, large = FakeModel("small", "one two"), FakeModel("large", "x y", cut_after=0)
    text, streaming, error = collect(make_engine(small, large, value_usd=100.0))
    assert (text, error) == ("onetwo", None)
    assert streaming.candidate == "small"
    assert streaming.record.usage.completion_tokens == 2
    assert streaming.record.first_token_s is not None


def test_a_stream_that_breaks_later_is_an_error_and_never_a_second_voice() -> None:
    small, large = FakeModel("small", "one two"), FakeModel("large", "x y", cut_after=1)
    engine = make_engine(small, large, value_usd=100.0)
    text, streaming, error = collect(engine)
    assert text == "x"
    assert isinstance(error, ProviderError)
    assert small.n_calls == 0
    record = engine.store.record(streaming.record_id)
    assert record is not None
    assert record.status == 502


def test_a_client_that_leaves_ends_the_upstream_call_and_is_billed_by_estimate() -> None:
    model = FakeModel("small", "a b c d e f", stall_s=0.01)
    engine = make_engine(model)

    async def run() -> str:
        streaming = await engine.open(Request(query=Query(text="how are you"), is_stream=True))
        await anext(streaming)
        await streaming.aclose()
        await engine.store.drain()
        return streaming.record_id

    record = engine.store.record(asyncio.run(run()))
    assert model.n_closed_early == 1
    assert record is not None
    assert (record.status, record.is_estimate) == (CLIENT_GONE, True)
    assert record.cost_usd is not None
    assert record.cost_usd > 0


def test_a_cancelled_answer_is_recorded() -> None:
    model = FakeModel("small", stall_s=5)
    engine = make_engine(model)

    async def run() -> None:
        task = asyncio.ensure_future(engine.answer(Request(query=Query(text="x"))))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await engine.store.drain()

    asyncio.run(run())
    (record,) = engine.store.records()
    assert (record.status, record.candidate, record.cost_usd) == (CLIENT_GONE, "small", None)
    assert [(one.candidate, one.error) for one in record.attempts] == [("small", "the client left")]
    assert [row.n_unpriced for row in engine.store.spend(by="candidate")] == [1]


def test_content_is_kept_only_with_consent() -> None:
    engine = make_engine(FakeModel("small", "the answer"))
    kept = ask(engine, "the question", caller=Caller(keep_content=True)).record
    assert kept.answer == "the answer"
    assert "the question" in (kept.query or "")
    other = ask(engine, "the question").record
    assert (other.query, other.answer) == (None, None)
    assert b"the question" not in msgspec.json.encode(other)


def test_records_hold_what_later_learning_needs() -> None:
    small, large = FakeModel("small"), FakeModel("large", price=DEAR)
    record = ask(make_engine(small, large)).record
    decision = record.decision
    assert decision.arms == ("small", "large")
    assert decision.eligible == ("small", "large")
    assert sum(decision.propensities) == pytest.approx(1)
    assert decision.scores == pytest.approx((0.2, 0.3))
    assert decision.costs_usd == pytest.approx((0.001, 0.004))
    assert decision.baseline == "large"
    assert record.baseline_usd == record.cost_usd, "the strongest answered: nothing was saved"
    cheap = ask(make_engine(small, large, value_usd=0.0)).record
    assert cheap.baseline_usd == Decimal("0.004"), "what the cost model predicts for the strongest"
    assert decision.decision_s > 0


def test_feedback_reaches_the_store_and_unknown_ids_are_refused() -> None:
    engine = make_engine(FakeModel("small"))
    result = ask(engine)
    word = Feedback(record_id=result.record_id, tenant="default", created_at=1.0, value=1.0)
    asyncio.run(engine.add_feedback(word))
    assert [f.value for f in engine.store.feedback(result.record_id)] == [1.0]
    with pytest.raises(NotFound):
        asyncio.run(engine.add_feedback(msgspec.structs.replace(word, tenant="another")))


def test_hard_limits_come_before_scores() -> None:
    plain = FakeModel("plain", capabilities=frozenset({"json"}))
    seeing = FakeModel("seeing", capabilities=frozenset({"vision", "tools"}))
    engine = make_engine(plain, seeing, value_usd=0.0)
    assert ask(engine, query=Query(text="look", needs=frozenset({"vision"}))).answer.candidate == "seeing"
    only = Query(text="x", constraints=Constraints(models=("seeing",)))
    assert ask(engine, query=only).answer.candidate == "seeing"
    with pytest.raises(InvalidRequest, match="vision"):
        ask(make_engine(plain), query=Query(text="look", needs=frozenset({"vision"})))
    dear = Query(text="x", constraints=Constraints(max_cost_usd=Decimal("0.0001")))
    with pytest.raises(InvalidRequest, match="limit"):
        ask(engine, query=dear)


def test_a_prompt_too_long_for_a_candidate_rules_it_out() -> None:
    short, long = FakeModel("short", context_window=100), FakeModel("long", context_window=10_000)
    messages = [{"role": "user", "content": "word " * 500}]
    engine = make_engine(short, long, value_usd=0.0)
    assert ask(engine, query=Query.from_messages(messages)).answer.candidate == "long"


def test_an_embedder_that_fails_leads_to_the_safe_choice() -> None:
    def fail(text: str) -> list[float]:
        raise EmbedderError("no vectors today")

    small, large = FakeModel("small", price=CHEAP), FakeModel("large", price=DEAR)
    result = ask(make_engine(small, large, scores=fail, value_usd=0.0))
    assert result.answer.candidate == "large"
    assert "no vectors today" in result.decision.reason


def test_a_candidate_unknown_to_the_router_is_a_last_resort() -> None:
    small, new = FakeModel("small", ProviderUnavailable("down")), FakeModel("new")
    engine = make_engine(small)
    candidates = [small.candidate, new.candidate]
    engine.models["new"] = new
    pipeline = engine.pipelines["auto"]
    engine.pipelines["auto"] = Pipeline(
        name="auto",
        candidates=candidates,
        router=pipeline.router,
        policy=pipeline.policy,
        costs=Constant(("small",), [0.1]),
        latencies=Constant(("small",), [0.1]),
        strongest=strongest(candidates),
    )
    assert ask(engine).answer.candidate == "new"


def test_strongest_says_why() -> None:
    def candidate(name: str, **fields: Any) -> Candidate:
        return Candidate(name=name, provider="p", model=name, **fields)

    panel = [candidate("a", strength=0.5, price=DEAR), candidate("b", strength=0.9, price=CHEAP)]
    assert strongest(panel, {"a": 0.8, "b": 0.6}) == ("a", "highest mean quality in training data (0.800)")
    assert strongest(panel)[0] == "b"
    assert strongest([candidate("a", price=CHEAP), candidate("b", price=DEAR)])[0] == "b"
    assert strongest([candidate("a", price=Price()), candidate("b")])[0] == "a"


def test_options_reach_the_model_untouched() -> None:
    model = FakeModel("small")
    fields = {"temperature": 0.3, "made_up": {"deep": [1]}}
    ask(make_engine(model), options=Options(fields=fields))
    assert model.options[0].fields == fields
