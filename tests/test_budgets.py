"""Budgets: windows of time, ceilings of calls, and requests kept within them."""

import asyncio
import json
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import DEAR, FakeModel
from suffice.budgets import Book, Budget, Claim, MemoryLedger, Reserve, Settle, Use, window
from suffice.catalogue.pricing import cost_ceiling_usd
from suffice.engine import Engine, Request, Streaming
from suffice.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    ConfigError,
    ProviderUnavailable,
    StoreError,
)
from suffice.gateway import Gateway
from suffice.plans.best_of import BestOf
from suffice.plans.ceilings import ceiling, prompt_ceiling
from suffice.plans.guard import Guard, check
from suffice.types import Caller, Candidate, Options, Price, PriceTier, Query, Usage
from test_engine import make_engine
from test_gateway import call

# --- windows

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Cairo", "America/Havana")
SHAPES = [{"every": every} for every in ("hour", "day", "week", "month", "year")]


def at(zone: str, *parts: int, fold: int = 0) -> float:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[misc,arg-type]


@given(now=st.floats(min_value=0, max_value=4e9), zone=st.sampled_from(ZONES), shape=st.sampled_from(SHAPES))
def test_calendar_windows_follow_each_other_without_gap(now: float, zone: str, shape: Any) -> None:
    made = window(shape["every"], None, zone)
    span = made.span(now)
    assert span.resets_at is not None
    assert span.period <= now < span.resets_at
    assert made.span(span.resets_at).period == span.resets_at
    assert made.span(span.resets_at - 1).period == span.period
    assert made.span(span.period) == span


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Africa/Cairo", (2026, 4, 24), 23),  # its clocks jump over midnight
        ("America/Havana", (2026, 11, 1), 25),  # it has midnight twice
        ("UTC", (2028, 2, 29), 24),
    ],
)
def test_days_on_which_the_clocks_change(zone: str, day: Any, hours: int) -> None:
    span = window("day", None, zone).span(at(zone, *day, 12))
    assert span.resets_at is not None
    assert (span.resets_at - span.period) / 3600 == hours


def test_leap_days_belong_to_february() -> None:
    span = window("month", None).span(at("UTC", 2028, 2, 29, 23, 59))
    assert (span.period, span.resets_at) == (at("UTC", 2028, 2, 1), at("UTC", 2028, 3, 1))


@given(
    length=st.integers(1, 200_000),
    times=st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=40),
)
def test_no_rolling_window_holds_more_than_the_limit_whatever_the_clock_does(
    length: int, times: list[float]
) -> None:
    """One unit a call, granted where the ledger's rule allows; then every window is looked at."""
    made, limit = window(None, f"{length}s"), 3
    granted: list[tuple[float, int]] = []
    for now in times:
        span = made.span(now)
        if sum(span.since <= period <= span.until for _, period in granted) < limit:
            granted.append((now, span.period))
    for start, _ in granted:
        assert sum(start <= now < start + length for now, _ in granted) <= limit


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "either"),
        ({"usd": 1, "tokens": 1}, "either"),
        ({"usd": 0}, "more than 0"),
        ({"usd": -1}, "more than 0"),
        ({"usd": float("nan")}, "more than 0"),
        ({"usd": float("inf")}, "more than 0"),
        ({"usd": 1e7}, "9.2 million"),
        ({"usd": 1e-13}, "more than 0"),
        ({"tokens": 0}, "at least 1 token"),
        ({"usd": 1, "every": "fortnight"}, "fortnight"),
        ({"usd": 1, "every": "day", "rolling": "24h"}, "exclude"),
        ({"usd": 1, "rolling": "soon"}, "soon"),
        ({"usd": 1, "rolling": "0s"}, "0s"),
        ({"usd": 1, "every": "day", "zone": "Mars/Olympus"}, "Mars"),
        ({"usd": 1, "per": "global", "only": "x"}, "only"),
        ({"usd": 1, "per": "request", "every": "day"}, "no window"),
        ({"usd": 1, "degrade": "later"}, "later"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(fields: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Budget(name="b", **fields)


# --- ceilings


def test_the_ceiling_is_above_every_cost_of_the_call() -> None:
    tier = PriceTier(min_prompt_tokens=200, input_usd_per_mtok=Decimal(5), output_usd_per_mtok=Decimal(20))
    price = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4), tiers=(tier,))
    candidate = Candidate(name="m", provider="p", model="m", price=price)
    query = Query.from_messages([{"role": "user", "content": "ä" * 100}])
    bounds = ceiling(candidate, query, Options(fields={"max_tokens": 50, "n": 3}))
    assert bounds.prompt_tokens >= 200
    dearest = cost_ceiling_usd(candidate, bounds.prompt_tokens, 150)
    assert bounds.amount(candidate, "usd") == int(dearest * 10**12)
    assert bounds.amount(candidate, "tokens") == bounds.prompt_tokens + 150
    out = bounds.fitting(candidate, "usd", bounds.amount(candidate, "usd") - 1)
    assert out == 49


def test_what_is_no_text_is_bounded_too() -> None:
    def chat(*parts: Any) -> Query:
        return Query.from_messages([{"role": "user", "content": list(parts)}])

    text = {"type": "text", "text": "what is this?"}
    image = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    assert prompt_ceiling(chat(text, image, image), {}) > prompt_ceiling(chat(text), {}) + 2 * 48_169
    assert (
        prompt_ceiling(chat(text), {"tools": [{"type": "function"}]}) > prompt_ceiling(chat(text), {}) + 700
    )


def test_unpriced_and_unbounded_candidates_cannot_be_budgeted() -> None:
    unpriced = Candidate(name="m", provider="p", model="m", max_output_tokens=10)
    with pytest.raises(ConfigError, match="no price is known"):
        check(Budget(name="b", usd=1), [unpriced])
    check(Budget(name="b", tokens=1000), [unpriced])
    unbounded = Candidate(name="m", provider="p", model="m", price=DEAR)
    with pytest.raises(ConfigError, match="bounds"):
        check(Budget(name="b", usd=1), [unbounded])
    check(Budget(name="b", usd=1, max_tokens=100), [unbounded])
    with pytest.raises(ConfigError, match="not in the panel"):
        check(Budget(name="b", usd=1, per="model", only="other"), [unbounded])


# --- requests


def guarded(*models: FakeModel, budgets: Sequence[Budget], ledger: Any = None, **options: Any) -> Engine:
    return make_engine(*models, guard=Guard(ledger or MemoryLedger(), budgets), **options)


def model(name: str = "small", *steps: Any, **fields: Any) -> FakeModel:
    return FakeModel(name, *steps, **{"max_output_tokens": 100} | fields)


def asking(model: str = "auto", user: str | None = None, caller: Caller = Caller(), **fields: Any) -> Request:  # noqa: B008
    return Request(
        query=Query(text="how are you", user=user), model=model, caller=caller, options=Options(fields=fields)
    )


def run(work: Any) -> Any:
    return asyncio.run(work())


def cost(candidate: Candidate, **fields: Any) -> int:
    """The most that `asking` can cost there, in pico-dollars."""
    return ceiling(candidate, Query(text="how are you"), Options(fields=fields)).amount(candidate, "usd")


def usd(pico: int) -> float:
    return pico / 10**12


async def books(engine: Engine) -> dict[str, Use]:
    """By the last part of the account, once everything is booked."""
    guard = engine.guard
    assert guard is not None
    while guard.desk._worker is not None and not guard.desk._worker.done():
        await asyncio.sleep(0)
    found = await guard.desk.ledger.uses()
    return {account.rpartition("|")[2]: use for (account, _), use in found.items()}


def test_a_call_is_reserved_and_settled_at_what_it_cost() -> None:
    small = model()

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=1, every="day")])
        result = await engine.answer(asking("small"))
        found = await books(engine)
        await engine.close()
        return result, found

    result, found = run(work)
    assert found == {"all": Use(int(result.record.cost_usd * 10**12), 0, 0)}
    assert result.said == ()


def test_a_spent_budget_refuses_and_says_what_is_left_and_when_it_resets() -> None:
    small = model()
    limit = cost(small.candidate) * 3 // 2

    async def work() -> Any:
        engine = guarded(
            small, budgets=[Budget(name="day", per="team", usd=usd(limit), every="day", wait_s=0)], retries=0
        )
        acme = Caller(tenant="acme")
        dear = await asyncio.gather(
            *(engine.answer(asking("small", caller=acme)) for _ in range(2)), return_exceptions=True
        )
        await engine.close()
        return dear

    refused = [one for one in run(work) if isinstance(one, Exception)]
    assert len(refused) == 1 and small.n_calls == 1
    assert isinstance(refused[0], AllAttemptsFailed)
    body = refused[0].body()["error"]
    assert refused[0].status == 429
    assert (body["type"], body["code"]) == ("insufficient_quota", "budget_exceeded")
    assert "for the team acme" in body["message"] and "day" in body["message"]
    said = body["budget"]
    assert (said["name"], said["subject"], said["unit"]) == ("day", "acme", "usd")
    assert Decimal(said["left"]) < Decimal(said["needed"]) < Decimal(said["limit"])
    assert said["resets_at"].endswith("T00:00:00Z")
    assert refused[0].record_id is not None


def test_a_budget_that_never_resets_is_payment_required() -> None:
    small = model()

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=1e-9)])
        with pytest.raises(AllAttemptsFailed) as caught:
            await engine.answer(asking("small"))
        await engine.close()
        return caught.value

    error = run(work)
    assert error.status == 402
    assert "more than all of it" in str(error)
    assert small.n_calls == 0


def test_a_cheaper_candidate_answers_where_the_dear_one_does_not_fit() -> None:
    small, large = model("small"), model("large", price=DEAR)
    limit = cost(small.candidate) * 2

    async def work() -> Any:
        engine = guarded(
            small, large, budgets=[Budget(name="b", usd=usd(limit), every="day", wait_s=0)], value_usd=100.0
        )
        result = await engine.answer(asking())
        await engine.close()
        return result

    result = run(work)
    assert (result.answer.candidate, large.n_calls) == ("small", 0)
    assert "BudgetExceeded" in result.record.attempts[0].error


def test_budgets_of_a_model_hold_for_it_alone() -> None:
    small, large = model("small"), model("large", price=DEAR)
    tight = Budget(name="b", per="model", only="large", usd=1e-9)

    async def work() -> Any:
        engine = guarded(small, large, budgets=[tight], value_usd=100.0)
        result = await engine.answer(asking())
        found = await books(engine)
        await engine.close()
        return result.answer.candidate, found

    assert run(work) == ("small", {})


@pytest.mark.parametrize("scope", ["key", "user", "team", "global"])
def test_each_subject_has_books_of_its_own(scope: Any) -> None:
    small = model()

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", per=scope, tokens=10**6)])
        for tenant, key, user in (("a", "k1", "u"), ("b", "k2", "u"), ("a", "k3", None)):
            await engine.answer(asking("small", user, Caller(tenant=tenant, key_id=key)))
        found = await books(engine)
        await engine.close()
        return set(found)

    subjects = {"key": {"k1", "k2", "k3"}, "user": {"a/u", "b/u", "a/"}, "team": {"a", "b"}}
    assert run(work) == subjects.get(scope, {"all"})


def test_a_request_has_a_budget_for_all_its_calls() -> None:
    small = model()
    one = cost(small.candidate)
    engine = guarded(small, budgets=[Budget(name="b", per="request", usd=usd(2 * one + one // 2))])
    engine.pipelines["auto"].plan = BestOf(n=4, stop_early=False)

    async def work() -> Any:
        result = await engine.answer(asking())
        await engine.close()
        return result

    result = run(work)
    assert small.n_calls == 2
    refused = [one for one in result.record.attempts if one.error]
    assert len(refused) == 2 and all("per request" in (one.error or "") for one in refused)


def test_plans_that_ask_often_reserve_every_call() -> None:
    small = model()
    engine = guarded(small, budgets=[Budget(name="b", tokens=10**6)])
    engine.pipelines["auto"].plan = BestOf(n=3, stop_early=False)

    async def work() -> Any:
        result = await engine.answer(asking())
        found = await books(engine)
        await engine.close()
        return result, found

    result, found = run(work)
    assert small.n_calls == 3
    assert found["all"] == Use(result.record.usage.total_tokens, 0, 0)


def test_shadows_are_reserved_on_the_account_of_their_team() -> None:
    small, large = model("small"), model("large", price=DEAR)
    acme = Caller(tenant="acme", key_id="k")

    async def work() -> Any:
        budgets = [Budget(name="t", per="team", usd=1), Budget(name="k", per="key", only="k", usd=1)]
        engine = guarded(small, large, budgets=budgets)
        result = await engine.answer(asking("small", caller=acme))
        before = await books(engine)
        ask = engine.ask_for(result.record, SimpleNamespace(probability=0.5))  # type: ignore[arg-type]
        answer = await ask("large", Query(text="how are you"), Options())
        after = await books(engine)
        await engine.close()
        return answer, before, after

    answer, before, after = run(work)
    assert after["acme"].spent - before["acme"].spent == int(answer.cost_usd * 10**12)
    assert after["k"] == before["k"], "a shadow is not asked for with a key"


def test_failed_calls_cost_nothing_and_unknown_costs_all_that_was_reserved() -> None:
    broken = model("broken", ProviderUnavailable("refused"))

    class NoUsage(FakeModel):
        async def answer(self, query: Query, options: Options) -> Any:
            answer = await super().answer(query, options)
            return msgspec.structs.replace(answer, usage=Usage(), cost_usd=None)

    silent = NoUsage("silent", max_output_tokens=100)

    async def work() -> Any:
        engine = guarded(broken, silent, budgets=[Budget(name="b", per="model", usd=1)], retries=0)
        with pytest.raises(AllAttemptsFailed):
            await engine.answer(asking("broken"))
        await engine.answer(asking("silent"))
        found = await books(engine)
        await engine.close()
        return found

    assert run(work) == {"broken": Use(), "silent": Use(cost(silent.candidate), 0, 0)}


def test_a_stream_that_is_left_settles_for_what_was_seen() -> None:
    small = model("small", "one two three four five six", stall_s=0.001)

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=1)])
        streaming = await engine.open(msgspec.structs.replace(asking("small"), is_stream=True))
        assert isinstance(streaming, Streaming)
        await anext(streaming)
        held = (await books(engine))["all"]
        await streaming.aclose()
        await asyncio.sleep(0.01)  # until the loop has closed what the plan left open
        found = (await books(engine))["all"]
        await engine.store.drain()
        record = engine.store.records()[0]
        await engine.close()
        return held, found, record

    held, found, record = run(work)
    assert (held.spent, held.reserved) == (0, cost(small.candidate))
    assert found == Use(int(record.cost_usd * 10**12), 0, 0), "books and record say the same"
    assert 0 < found.spent < held.reserved


def test_a_whole_answer_that_is_left_is_charged_in_full() -> None:
    """It may be written, and billed, to its end."""
    small = model("small", stall_s=5.0)

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=1)])
        task = asyncio.create_task(engine.answer(asking("small")))
        while not small.n_calls:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        found = await books(engine)
        await engine.close()
        return found

    assert run(work) == {"all": Use(cost(small.candidate), 0, 0)}


def test_an_output_limit_is_lowered_where_that_is_allowed() -> None:
    small = model()
    limit = cost(small.candidate, max_tokens=40)

    async def work(clamp: bool) -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=usd(limit), clamp=clamp, wait_s=0)])
        result = await engine.answer(asking("small"))
        await engine.close()
        return result

    result = asyncio.run(work(True))
    assert small.options[-1].max_tokens == 40
    assert dict(result.said)["max-tokens"] == "40"
    with pytest.raises(AllAttemptsFailed):
        asyncio.run(work(False))


def test_a_default_output_limit() -> None:
    small = FakeModel("small")

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=1, max_tokens=77)])
        said = [(await engine.answer(asking("small", **fields))).said for fields in ({}, {"max_tokens": 5})]
        await engine.close()
        return said

    assert [dict(one).get("max-tokens") for one in run(work)] == ["77", None]
    assert [options.max_tokens for options in small.options] == [77, 5]


def test_a_request_waits_for_what_calls_under_way_give_back() -> None:
    small = model("small", stall_s=0.05)
    limit = cost(small.candidate) * 3 // 2

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=usd(limit))])
        await asyncio.gather(*(engine.answer(asking("small")) for _ in range(4)))
        found = await books(engine)
        await engine.close()
        return found

    assert run(work)["all"].spent < limit
    assert small.n_calls == 4


def test_soft_budgets_warn_and_degrade() -> None:
    small, large = model("small"), model("large", price=DEAR)

    async def work() -> Any:
        engine = guarded(
            small, large, budgets=[Budget(name="soft", usd=1e-6, every="day", hard=False)], value_usd=100.0
        )
        results = [await engine.answer(asking()) for _ in range(2)]
        named = await engine.answer(asking("large"))
        events = engine.guard.events["soft"]  # type: ignore[union-attr]
        await engine.close()
        return results, named, events

    (first, second), named, events = run(work)
    assert (first.answer.candidate, second.answer.candidate) == ("large", "small")
    assert named.answer.candidate == "large", "who names a model gets it"
    assert dict(second.said)["budget"].startswith("soft; left=0 USD; of=0.000001 USD; resets=")
    assert "the cheapest first" in second.decision.reason
    assert second.decision.propensities == (1.0, 0.0)
    assert not first.said, "what it may cost itself is no reason to warn"
    assert (events.warned, events.degraded, events.refused) == (2, 1, 0)


def test_degrading_to_a_pipeline() -> None:
    small, large = model("small"), model("large", price=DEAR)
    soft = Budget(name="soft", usd=1e-6, hard=False, degrade="auto:frugal")

    async def work() -> Any:
        engine = guarded(small, large, budgets=[soft], value_usd=100.0)
        engine.pipelines["frugal"] = make_engine(small, large, value_usd=0.0).pipelines["auto"]
        results = [await engine.answer(asking()) for _ in range(2)]
        await engine.close()
        return results

    first, second = run(work)
    assert (first.answer.candidate, second.answer.candidate) == ("large", "small")
    assert second.record.requested_model == "auto"


def test_no_call_is_made_on_a_budget_that_cannot_be_kept() -> None:
    class Gone(MemoryLedger):
        async def apply(self, operations: Any) -> Any:
            raise StoreError("gone")

    small = model()

    async def work() -> Any:
        engine = guarded(small, budgets=[Budget(name="b", usd=1)], ledger=Gone())
        with pytest.raises(StoreError):
            await engine.answer(asking("small"))
        assert engine.guard is not None
        engine.guard.desk._queue.clear()
        await engine.guard.desk.close(0.01)
        return small.n_calls

    assert run(work) == 0


def test_a_key_is_known_with_its_budget_from_its_first_request_on() -> None:
    small = model()
    ledger = MemoryLedger()

    async def work() -> Any:
        engine = guarded(small, budgets=[], ledger=ledger)
        await engine.answer(asking("small", caller=Caller(key_id="old")))
        await ledger.set_budget(Budget(name="new.day", per="key", only="new", usd=1e-9, every="day"))
        await engine.answer(asking("small", caller=Caller(key_id="old")))
        with pytest.raises(AllAttemptsFailed):
            await engine.answer(asking("small", caller=Caller(key_id="new")))
        events = engine.guard.events  # type: ignore[union-attr]
        await engine.close()
        return set(events)

    assert run(work) == {"(key)"}, "names that are set at run time are no labels"


def test_a_ledger_that_cannot_be_read_refuses_new_keys_where_it_is_strict() -> None:
    class Mute(MemoryLedger):
        async def budgets(self) -> Any:
            raise StoreError("mute")

    async def purse(is_strict: bool) -> Any:
        return await Guard(Mute(), is_strict=is_strict).purse(Caller(key_id="new"), Query(text="x"), {})

    assert asyncio.run(purse(False)) is None
    with pytest.raises(StoreError, match="no call is made"):
        asyncio.run(purse(True))


def test_a_gateway_that_rested_sees_new_budgets_before_it_answers() -> None:
    small = model()
    ledger = MemoryLedger()

    async def work() -> None:
        engine = guarded(small, budgets=[], ledger=ledger)
        await engine.answer(asking("small"))
        await ledger.set_budget(Budget(name="new", usd=1e-9))
        assert engine.guard is not None
        engine.guard._looked_at -= 10.0
        with pytest.raises(AllAttemptsFailed):
            await engine.answer(asking("small"))
        await engine.close()

    run(work)


def test_many_requests_of_a_new_key_look_once_or_twice() -> None:
    class Slow(MemoryLedger):
        n_looks = 0

        async def budgets(self) -> Any:
            self.n_looks += 1
            await asyncio.sleep(0.01)
            return await super().budgets()

    async def work() -> int:
        guard = Guard(ledger := Slow())
        await asyncio.gather(*(guard.purse(Caller(key_id="new"), Query(text="x"), {}) for _ in range(50)))
        await guard.close()
        return ledger.n_looks

    assert run(work) <= 2


def test_without_budgets_models_are_asked_as_they_are() -> None:
    small = model()
    engine = guarded(small, budgets=[])

    async def work() -> Any:
        assert engine.guard is not None
        purse = await engine.guard.purse(Caller(), Query(text="x"), engine.models)
        await engine.close()
        return purse

    assert run(work) is None


@given(
    calls=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 59), st.booleans()), max_size=30),
    limit=st.integers(1, 200),
)
def test_spent_and_reserved_never_exceed_the_limit(calls: list[Any], limit: int) -> None:
    book, under_way = Book(), []
    for number, (amount, spent, is_settled) in enumerate(calls):
        claim = Claim("a", 0, 0, 0, amount, limit)
        if book.apply(Reserve(str(number), (claim,), 1.0), 0.0).refused is None:
            under_way.append((str(number), min(spent, amount)))
        if is_settled and under_way:
            name, took = under_way.pop(0)
            book.apply(Settle(name, (took,)), 0.0)
        use = book.uses.get(("a", 0), Use())
        assert use.spent + use.reserved <= limit
        assert min(use.spent, use.reserved) >= 0


# --- the gateway


def test_the_gateway_answers_with_headers_and_errors() -> None:
    small = model()
    limit = cost(small.candidate) * 5 // 4

    async def work() -> Any:
        budget = Budget(name="day", usd=usd(limit), every="day", warn_at=1e-6, wait_s=0)
        engine = guarded(small, budgets=[budget])
        gateway = Gateway(lambda: engine, is_loopback=True, demands_key=False)
        await gateway.startup()
        ask = {"model": "small", "messages": [{"role": "user", "content": "how are you"}]}
        whole = await call(gateway, "/v1/chat/completions", ask)
        stream = await call(gateway, "/v1/chat/completions", ask | {"stream": True})
        long = await call(gateway, "/v1/chat/completions", ask | {"max_tokens": 10_000})
        text = (await call(gateway, "/metrics")).body.decode()
        await gateway.shutdown()
        return whole, stream, long, text

    whole, stream, long, text = run(work)
    assert (whole.status, stream.status) == (200, 200)
    assert "x-suffice-budget" not in whole.headers
    assert stream.headers["x-suffice-budget"].startswith("day; left=")
    assert long.status == 402
    assert long.headers["x-should-retry"] == "false"
    assert "retry-after" not in long.headers
    assert json.loads(long.body)["error"]["budget"]["name"] == "day"
    assert 'suffice_budget_events_total{budget="day",event="refused"} 1' in text
    assert 'suffice_budget_events_total{budget="day",event="warned"} 1' in text


def test_an_exhausted_day_tells_clients_when_to_come_back() -> None:
    small = model()

    async def work() -> Any:
        budget = Budget(name="day", tokens=300, every="day", wait_s=0)
        engine = guarded(small, budgets=[budget])
        gateway = Gateway(lambda: engine, is_loopback=True, demands_key=False)
        await gateway.startup()
        ask = {"model": "small", "messages": [{"role": "user", "content": "how are you"}], "max_tokens": 100}
        replies = [await call(gateway, "/v1/chat/completions", ask) for _ in range(30)]
        await gateway.shutdown()
        return [reply for reply in replies if reply.status != 200]

    refused = run(work)
    assert refused and {reply.status for reply in refused} == {429}
    midnight = 86400 - datetime.now(UTC).timestamp() % 86400
    assert abs(int(refused[-1].headers["retry-after"]) - midnight) < 30


def test_the_error_of_a_budget_survives_a_trip_between_processes() -> None:
    error = BudgetExceeded("no", details={"name": "b"})
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.body()) == (402, error.body())
