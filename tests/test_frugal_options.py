"""FrugalGPT's ways to pay less for the same question: fewer examples, one call for several, none at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fakes import CHEAP
from suffice.caching.canonical import asked
from suffice.embedders import HashedNgrams
from suffice.errors import AllAttemptsFailed, ConfigError, ProviderUnavailable
from suffice.plans import create
from suffice.plans.base import Event, PlanContext
from suffice.plans.completions import CacheSettings, Completions
from suffice.plans.concatenate import Concatenate
from suffice.plans.examples import adapted
from suffice.plans.joint import apart, joined, shared_usage, shared_usd
from suffice.types import Caller, Options, Query, Usage
from test_plans import Outcome, Talker, cascade, context_of, do, usd

# --- completion cache


def test_what_was_accepted_is_given_again_without_a_call() -> None:
    models = [Talker("small", logprob=-3.0), Talker("large", "so it is")]
    plan = cascade("small", "large", cache={})
    first, again = do(plan, models), do(plan, models)
    assert (len(first.attempts), len(again.attempts)) == (2, 0)
    assert (again.given.content, again.given.candidate) == ("so it is", "large")
    assert (again.given.cost_usd, again.given.usage.total_tokens) == (Decimal(0), 0)
    assert json.loads(again.given.body or b"")["usage"]["total_tokens"] == 0
    assert "cache" in again.notes
    streamed = do(plan, models, is_stream=True)
    assert (streamed.text, streamed.attempts) == ("so it is", [])


@pytest.mark.parametrize(
    "other",
    [
        {"query": Query(text="how are you?")},
        {"options": Options(fields={"temperature": 1})},
        {"caller": Caller(tenant="acme")},
        {"ranking": ["large"]},
        {"options": Options(fields={"logprobs": True})},
    ],
)
def test_another_request_or_tenant_gets_nothing_of_it(other: dict[str, Any]) -> None:
    models = [Talker("small"), Talker("large")]
    plan = cascade("small", "large", cache={})
    do(plan, models)
    assert do(plan, models, **other).attempts


def test_fields_that_change_nothing_do_not_matter() -> None:
    models = [Talker("small"), Talker("large")]
    plan = cascade("small", "large", cache={})
    do(plan, models, options=Options(fields={"user": "a"}))
    assert not do(plan, models, options=Options(fields={"user": "b", "stream": True})).attempts


@pytest.mark.parametrize("said", ["", ProviderUnavailable("down")])
def test_what_nobody_accepted_is_not_kept(said: Any) -> None:
    models = [Talker("small", ["", "better"]), Talker("large", said)]
    plan = cascade("small", "large", cache={})
    assert do(plan, models).given.content == ""
    assert do(plan, models).given.content == "better"


def test_old_and_unused_answers_go() -> None:
    now = [0.0]
    kept = Completions(CacheSettings(entries=2, ttl_s=10), clock=lambda: now[0])
    given = do(cascade("a"), [Talker("a")]).given
    one, two, three, four = (asked(Query(text=text), Options(), tenant="a") for text in "1234")
    for key in (one, two):
        kept.put(key, given)
    assert kept.get(one)
    kept.put(three, given)
    assert [kept.get(key) is not None for key in (one, two, three)] == [True, False, True]
    now[0] = 10.0
    assert (kept.get(one), kept.get(three), len(kept)) == (None, None, 0)
    kept.put(four, msgspec.structs.replace(given, finish_reason="length"))
    assert not len(kept)


# --- prompt adaptation

EXAMPLES = (
    "Reply in one word.\n\nQ: a red apple\nA: fruit\n\nQ: an iron nail\nA: tool\n\nQ: a green pear\nA: fruit"
)
ASKED = f"{EXAMPLES}\n\nQ: a green apple\nA:"


def test_the_cheap_model_is_shown_the_nearest_examples() -> None:
    small, large = Talker("small", logprob=-3.0), Talker("large")
    plan = cascade("small", "large", examples={"small": 2})
    plan.embedder = HashedNgrams()
    do(plan, [small, large], Query(text=ASKED))
    sent = small.asked[0][0].chat()[0]["content"]
    assert sent == ASKED.replace("Q: an iron nail\nA: tool\n\n", "")
    assert large.asked[0][0].text == ASKED


def test_named_examples_go_in_pairs() -> None:
    def pair(asked: str, said: str) -> list[dict[str, str]]:
        return [{"role": "system", "name": "example_user", "content": asked},
                {"role": "system", "name": "example_assistant", "content": said}]  # fmt: skip

    last = {"role": "user", "content": "a green apple"}
    near, far = pair("a red apple", "fruit"), pair("an iron nail", "tool")
    query = Query.from_messages([{"role": "system", "content": "One word."}, *far, *near, last])
    found = adapted(query, 1, HashedNgrams())
    assert list(found.messages) == [query.messages[0], *near, last]
    assert list(adapted(query, 0, HashedNgrams()).messages) == [query.messages[0], last]
    assert adapted(query, 2, HashedNgrams()) is query


@pytest.mark.parametrize(
    "text", ["How are you?", "", "Note: one.\n\nWhat then?", "A text.\n\nAnother.\n\nQuestion: which?"]
)
def test_what_has_no_examples_stays_as_it_is(text: str) -> None:
    query = Query(text=text)
    assert adapted(query, 0, HashedNgrams()) is query


def test_several_parts_are_left_alone() -> None:
    query = Query.from_messages([{"role": "user", "content": [{"type": "text", "text": ASKED}]}])
    assert adapted(query, 0, HashedNgrams()) is query


def test_examples_and_cache_are_checked() -> None:
    for params in (
        {"examples": {"small": -1}},
        {"examples": {"small": "two"}},
        {"cache": {"size": 3}},
        {"cache": {"entries": 0}},
    ):
        with pytest.raises(ConfigError, match="plan 'cascade'"):
            create("cascade", path="c", **params)


# --- query concatenation


def replies(**answers: str) -> Any:
    """A list of answers for a joint prompt, one answer for one question."""

    def says(query: Query, options: Options) -> str:
        if "JSON list" in query.text:
            lines = [line for line in query.text.split("\n") if line.startswith("Question ")]
            return json.dumps([answers[line.split(": ")[1]] for line in lines])
        return f"alone: {answers[query.text]}"

    return says


def together(plan: Concatenate, models: Sequence[Talker], *texts: Any, **fields: Any) -> list[Outcome]:
    async def one(asked: Any) -> list[Event]:
        query, context = asked if isinstance(asked, tuple) else (Query(text=asked), {})
        made: PlanContext = context_of(models, **fields, **context)
        return [event async for event in plan.run(query, made)]

    async def main() -> list[list[Event]]:
        return await asyncio.gather(*(one(text) for text in texts))

    return [Outcome(events) for events in asyncio.run(main())]


@pytest.mark.parametrize("is_stream", [False, True])
def test_questions_of_one_moment_share_a_call(is_stream: bool) -> None:
    small = Talker("small", replies(a="1", b="2", c="3"))
    done = together(Concatenate(size=3), [small, Talker("large")], "a", "b", "c", is_stream=is_stream)
    assert [one.given.content for one in done] == ["1", "2", "3"]
    assert (len(small.asked), done[0].asked) == (1, [("small", "joint")])
    if is_stream:
        assert [one.text for one in done] == ["1", "2", "3"]
    asked, _ = small.asked[0]
    whole = CHEAP.cost_usd(Usage(prompt_tokens=len(asked.text.split()), completion_tokens=3))
    assert sum((one.given.cost_usd or Decimal(0) for one in done), Decimal(0)) == whole
    assert sum(one.given.usage.completion_tokens or 0 for one in done) == 3
    assert all(usd(*one.attempts) == one.given.cost_usd for one in done)


def test_who_is_alone_is_asked_as_ever() -> None:
    (done,) = together(Concatenate(wait_s=0.01), [Talker("small", replies(a="1"))], "a")
    assert (done.given.content, done.asked) == ("alone: 1", [("small", "")])


@pytest.mark.parametrize("broken", ["[1]", "no list", '["1", {"a": 2}]', '["1", "2", "3"]', ""])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_reply_with_another_number_of_answers_is_not_believed(broken: str, is_stream: bool) -> None:
    def says(query: Query, options: Options) -> str:
        return broken if "JSON list" in query.text else f"alone {query.text}"

    small = Talker("small", says)
    wish = Options(fields={"stream_options": {"include_usage": True}})
    done = together(Concatenate(size=2), [small], "a", "b", is_stream=is_stream, options=wish)
    assert [one.given.content.strip() for one in done] == ["alone a", "alone b"]
    assert len(small.asked) == 3
    for one in done:
        assert [role for _, role in one.asked] == ["joint", ""]
        assert one.given.cost_usd == usd(*one.attempts)
        if is_stream:
            (usage,) = [chunk.usage for chunk in one.chunks if chunk.usage]
            assert usage == one.given.usage


def test_an_empty_answer_alone_is_asked_for_singly() -> None:
    small = Talker("small", replies(a="1", b=""))
    done = together(Concatenate(size=2), [small], "a", "b")
    assert [one.given.content for one in done] == ["1", "alone: "]
    assert len(small.asked) == 2


def test_a_joint_call_that_fails_is_made_up_for() -> None:
    def says(query: Query, options: Options) -> Any:
        return ProviderUnavailable("down") if "JSON list" in query.text else "fine"

    done = together(Concatenate(size=2), [Talker("small", says)], "a", "b")
    assert [one.given.content for one in done] == ["fine", "fine"]
    with pytest.raises(AllAttemptsFailed):
        together(Concatenate(size=2), [Talker("small", ProviderUnavailable("down"))], "a", "b")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (Query(text="b"), {"caller": Caller(tenant="acme")}),
        (Query(text="b"), {"caller": Caller(key_id="k2")}),
        (Query(text="b", user="somebody"), {}),
        (Query(text="b"), {"options": Options(fields={"temperature": 0.5})}),
        (Query(text="b"), {"options": Options(fields={"response_format": {"type": "json_object"}})}),
        (Query(text="b", needs=frozenset({"tools"})), {}),
        (Query(text="b" * 3_000), {}),
        (Query.from_messages([{"role": "system", "content": "x"}, {"role": "user", "content": "b"}]), {}),
    ],
)
def test_only_like_requests_of_one_caller_are_joined(query: Query, fields: dict[str, Any]) -> None:
    small = Talker("small", '{"fine": 1}')
    done = together(Concatenate(size=2, wait_s=0.02), [small], "a", (query, fields))
    assert all(one.asked == [("small", "")] for one in done)
    assert not any("JSON list" in asked.text for asked, _ in small.asked)


def test_the_call_ends_with_the_last_who_waits() -> None:
    small = Talker("small", replies(a="1", b="2"), delay_s=lambda nth: 30.0)

    async def main() -> tuple[int, int]:
        plan = Concatenate(size=2)

        async def one(text: str) -> None:
            async for _ in plan.run(Query(text=text), context_of([small])):
                pass

        tasks = [asyncio.ensure_future(one(text)) for text in "ab"]
        while not small.n_running:
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        running = small.n_running
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        while small.n_running:
            await asyncio.sleep(0)
        return running, small.n_cancelled

    assert asyncio.run(asyncio.wait_for(main(), 5)) == (1, 1)


def test_one_who_leaves_early_takes_nobody_along() -> None:
    small = Talker("small", replies(a="1", b="2"), delay_s=0.05)

    async def main() -> str:
        plan = Concatenate(size=2)

        async def one(text: str) -> Outcome:
            return Outcome([event async for event in plan.run(Query(text=text), context_of([small]))])

        first, second = (asyncio.ensure_future(one(text)) for text in "ab")
        while not small.n_running:
            await asyncio.sleep(0)
        first.cancel()
        return (await second).given.content

    assert asyncio.run(main()) == "2"


def test_parts_add_up() -> None:
    cost = Decimal("0.000001000001")
    assert sum(one or 0 for one in shared_usd(cost, 7)) == cost
    assert shared_usd(None, 2) == [None, None]
    parts = shared_usage(Usage(prompt_tokens=10, completion_tokens=None, compute_s=1.0), 4)
    assert [part.prompt_tokens for part in parts] == [3, 3, 2, 2]
    assert [part.completion_tokens for part in parts] == [None] * 4
    assert sum(part.compute_s or 0 for part in parts) == 1.0


def test_a_limit_holds_for_each() -> None:
    small = Talker("small", replies(a="1", b="2"))
    together(Concatenate(size=2), [small], "a", "b", options=Options(fields={"max_tokens": 10}))
    assert small.asked[0][1].max_tokens == 20


def test_what_all_share_is_sent_once() -> None:
    head = [{"role": "system", "content": "Be brief."}]
    query = Query.from_messages([*head, {"role": "user", "content": "one?"}])
    found = joined(query, ["one?", "two?"])
    assert list(found.messages[:-1]) == head
    assert found.text.endswith("Question 1: one?\n\nQuestion 2: two?")
    assert apart('["x"] and ["y"]', 1) is None
    assert apart("[true]", 1) is None


def test_its_parameters_are_checked() -> None:
    for params in ({"size": 1}, {"wait_s": 0.0}, {"max_characters": 0}):
        with pytest.raises(ConfigError):
            create("concatenate", **params)
