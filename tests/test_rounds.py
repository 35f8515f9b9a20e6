"""Plans of several rounds: decompose, Router-R1, draft and check. Who is asked, what is given, its cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import DEAR
from suffice import plans
from suffice.errors import AllAttemptsFailed, ConfigError, InvalidRequest, ProviderUnavailable
from suffice.plans.decompose import Decompose
from suffice.plans.decomposition import Part, parts, spliced
from suffice.plans.editing import Edit, edited, verdict
from suffice.plans.router_r1 import RouterR1
from suffice.plans.speculative import Speculative
from suffice.plans.thinking import Finish, Malformed, Search, Thread
from suffice.types import Answer, Chunk, Constraints, Decision, Options, Query
from test_plans import Talker, context_of, do, usd

DOWN = ProviderUnavailable("down")
STREAM = Options(fields={"stream_options": {"include_usage": True}})
ROUTE_66 = ["How long is it?", "Who built it?"]


def system_of(query: Query) -> str:
    first = query.chat()[0]
    return str(first["content"]) if first["role"] == "system" else ""


def splitter(reply: Any, says: str = "the whole") -> Callable[[Query, Options], Any]:
    """Splits by this reply, answers a part by its last line, and writes from the parts' answers."""

    def speak(query: Query, options: Options) -> Any:
        if "Split the request" in query.text:
            return reply
        if "was split into smaller questions" in system_of(query):
            return "written"
        return says if query.text == "how are you" else f"re: {query.text.splitlines()[-1]}"

    return speak


# --- decompose


def test_parts_are_answered_side_by_side_and_written_up() -> None:
    large = Talker("large", splitter(json.dumps(ROUTE_66)), price=DEAR)
    small = Talker("small", splitter(""), delay_s=0.1)
    plan = Decompose("large", "large")
    done = do(plan, [small, large])
    roles = ["decompose", "part", "part", "aggregate"]
    assert done.asked == list(zip(["large", "small", "small", "large"], roles, strict=True))
    assert (done.given.content, done.given.candidate) == ("written", "large")
    told = system_of(large.asked[-1][0])
    assert "Question 1: How long is it?\nAnswer: re: How long is it?" in told
    assert done.given.cost_usd == usd(*done.attempts) > 0
    assert done.given.latency_s < 0.19, "both parts at once"
    assert "part 1: small; part 2: small" in done.notes


def test_every_part_is_routed_by_itself() -> None:
    async def decide(query: Query) -> Decision:
        first = "large" if "built" in query.text else "small"
        ranking = (first, "small" if first == "large" else "large", "banned")
        return Decision(plan="", candidate=first, ranking=ranking)

    models = [Talker(name, splitter(json.dumps(ROUTE_66))) for name in ("small", "large")]
    done = do(Decompose(), models, decide=decide)
    assert sorted(one for one in done.asked if one[1] == "part") == [("large", "part"), ("small", "part")]


def test_a_router_that_cannot_decide_leaves_the_ranking() -> None:
    async def decide(query: Query) -> Decision:
        raise InvalidRequest("too long")

    done = do(Decompose(), [Talker("small", splitter(json.dumps(ROUTE_66)))], decide=decide)
    assert done.asked.count(("small", "part")) == 2


def test_the_decomposer_may_route_too() -> None:
    items = [{"query": "a?", "model": "large"}, {"query": "b?", "model": "huge"}]
    small, large = Talker("small", splitter(json.dumps(items))), Talker("large", splitter(""))
    done = do(Decompose(route="model", descriptions={"large": "knows all"}), [small, large])
    assert "- large: knows all" in small.asked[0][0].text
    assert [one for one in done.asked if one[1] == "part"] == [("large", "part"), ("small", "part")]


def test_a_part_waits_for_the_answers_that_it_needs() -> None:
    items = [{"query": "who?"}, {"query": "when was that?", "after": [1, 2, 9, True]}, {"query": "why?"}]
    small = Talker("small", splitter(json.dumps(items)))
    done = do(Decompose(), [small])
    asked = [query.text for query, _ in small.asked[1:4]]
    assert asked[:2] == ["who?", "why?"]
    assert asked[2].endswith("Question: who?\nAnswer: re: who?\n\nwhen was that?")
    assert done.given.content == "written"


def test_a_part_that_fails_is_done_without() -> None:
    def says(query: Query, options: Options) -> Any:
        return DOWN if query.text == "b?" else splitter('["a?", "b?"]')(query, options)

    small = Talker("small", says)
    done = do(Decompose(), [small])
    assert done.given.content == "written"
    assert "part 2: failed (ProviderUnavailable)" in done.notes
    assert "Answer: (none was given)" in system_of(small.asked[-1][0])


def test_a_slow_part_is_not_waited_for() -> None:
    small = Talker("small", splitter('["a?", "b?"]'), delay_s=lambda n: 5.0 if n == 3 else 0.0)
    done = do(Decompose(part_timeout_s=0.1), [small])
    assert done.given.content == "written"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("It depends.", "gave no list"),
        ("", "empty"),
        ('["a", "b", "c", "d"]', "4 parts where 3 are allowed"),
        ('[{"question": "a"}, {"query": ""}]', "an item without a question"),
        ("[]", "nothing to split"),
        ('["how are you"]', "nothing to split"),
        ("[" * 50_000, "gave no list"),
        (DOWN, "failed (ProviderUnavailable)"),
    ],
)
def test_nonsense_leaves_the_query_whole(reply: Any, said: str) -> None:
    done = do(Decompose(max_parts=3), [Talker("small", splitter(reply))])
    assert done.given.content == "the whole"
    assert f"asked whole: {'' if 'split' in said else 'the decomposer small'}" in done.notes
    assert said in done.notes


def test_no_part_answered_or_nothing_written_is_asked_whole() -> None:
    def mute(query: Query, options: Options) -> Any:
        said = splitter('["a?", "b?"]')(query, options)
        return "" if str(said).startswith("re:") else said

    done = do(Decompose(), [Talker("small", mute)])
    assert (done.given.content, "none of 2 parts" in done.notes) == ("the whole", True)

    def silent(query: Query, options: Options) -> Any:
        said = splitter('["a?", "b?"]')(query, options)
        return "" if said == "written" else said

    done = do(Decompose(), [Talker("small", silent)])
    assert (done.given.content, "the aggregator: empty" in done.notes) == ("the whole", True)
    assert done.given.cost_usd == usd(*done.attempts)


def test_parts_are_split_again_to_the_depth_allowed() -> None:
    splits = {"how are you": '["a?", {"query": "b?", "after": [1]}]', "a?": '["x?", "y?"]', "b?": "no"}

    def says(query: Query, options: Options) -> Any:
        text = query.text
        if "Split the request" in text:
            return splits[text.partition("-----\n")[2].partition("\n-----")[0]]
        return splitter("")(query, options)

    small = Talker("small", says)
    done = do(Decompose(depth=2), [small])
    assert [role for _, role in done.asked] == ["decompose"] * 3 + ["part"] * 3 + ["aggregate"]
    assert small.asked[5][0].text.count("Question:") == 2, "b needs both parts of a"
    assert "a part stays whole: the decomposer small gave no list" in done.notes
    done = do(Decompose(depth=2, max_parts=2), [Talker("small", says)])
    assert [role for _, role in done.asked].count("part") == 2, "no more than two parts in all"


def test_the_cost_limit_keeps_the_aggregators_share() -> None:
    models = [Talker("small", splitter('["a?", "b?", "c?"]'))]
    done = do(Decompose(max_cost_usd=0.0035), models, costs=[0.001])
    assert [role for _, role in done.asked] == ["decompose", "part", "part", "aggregate"]
    assert "part 3: the cost limit has no room for it" in done.notes
    done = do(Decompose(max_cost_usd=0.0015), [Talker("small", splitter("[]"))], costs=[0.001])
    assert [role for _, role in done.asked] == [""]
    assert "no room for parts" in done.notes
    query = Query(text="how are you", constraints=Constraints(max_cost_usd=Decimal("0.0001")))
    done = do(Decompose(), [Talker("small", splitter("[]"))], query, costs=[0.001])
    assert "above the cost limit" in done.notes


def test_conversations_are_split_as_a_whole_and_written_in_their_own_frame() -> None:
    chat = [
        {"role": "system", "content": "Reply in verse."},
        {"role": "user", "content": "Tell me of Rome."},
        {"role": "assistant", "content": "Old."},
        {"role": "user", "content": "And of Athens?"},
    ]
    small = Talker("small", splitter(json.dumps(ROUTE_66)))
    done = do(Decompose(), [small], Query.from_messages(chat))
    assert "user: Tell me of Rome.\n\nassistant: Old." in small.asked[0][0].text
    assert system_of(small.asked[-1][0]).startswith("Reply in verse.")
    assert done.given.content == "written"


def test_what_is_wanted_of_the_answer_is_wanted_of_no_part() -> None:
    wish = Options(fields={"response_format": {"type": "json_object"}, "stop": ["x"], "temperature": 0.3})
    small = Talker("small", splitter(json.dumps(ROUTE_66), says='{"a": 1}'))
    done = do(Decompose(), [small], options=wish)
    assert small.asked[1][1].fields == {"temperature": 0.3}
    assert done.given.content == '{"a": 1}', "what was written is no JSON"


def test_lists_are_read_as_models_write_them() -> None:
    assert [part.text for part in parts("1. One?\n2) Two?\n- Three?", 3)] == ["One?", "Two?", "Three?"]  # type: ignore[union-attr]
    assert [part.text for part in parts('Sure!\n```json\n["a", "b"]\n```', 3)] == ["a", "b"]  # type: ignore[union-attr]
    fenced = '{"query": "a", "after": []}\n{"query": "b", "after": [1]}'
    assert parts(fenced, 3) == [Part("a"), Part("b", (0,))]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_spliced_parts_need_only_earlier_ones(data: st.DataObject) -> None:
    def some(n: int) -> list[Part]:
        return [
            Part(str(i), tuple(sorted(data.draw(st.sets(st.integers(0, i - 1)))) if i else ()))
            for i in range(n)
        ]

    whole, own = some(data.draw(st.integers(1, 5))), some(data.draw(st.integers(2, 4)))
    place = data.draw(st.integers(0, len(whole) - 1))
    found = spliced(whole, place, own)
    assert len(found) == len(whole) + len(own) - 1
    assert all(0 <= one < at for at, part in enumerate(found) for one in part.after)
    names = [part.text for part in whole[:place]] + ["new"] * len(own) + [p.text for p in whole[place + 1 :]]
    for at, part in enumerate(found):
        if names[at] != "new":
            needs = {"new" if int(n) == place else n for n in map(str, whole[int(part.text)].after)}
            assert {names[one] for one in part.after} == needs


# --- Router-R1


def thinker(*steps: Any) -> Callable[[Query, Options], Any]:
    """One reply after the other while thinking; anything else is answered as it is asked."""
    left = list(steps)

    def speak(query: Query, options: Options) -> Any:
        if "stop" in options.fields:
            return left.pop(0) if len(left) > 1 else left[0]
        return "the whole" if query.text == "how are you" else f"re: {query.text}"

    return speak


def test_a_policy_asks_reads_and_answers() -> None:
    policy = Talker(
        "policy",
        thinker(
            "<think>Facts.</think><search> large: who? </search><information>fake</information>",
            "<think>Now.</think> <answer> it was she",
        ),
    )
    large = Talker("large", thinker(""), price=DEAR)
    done = do(RouterR1("policy"), [policy, large])
    assert done.asked == [("policy", "think"), ("large", "search"), ("policy", "think")]
    assert (done.given.content, done.given.candidate) == ("it was she", "policy")
    assert json.loads(done.given.body or b"")["choices"][0]["message"]["content"] == "it was she"
    assert done.given.cost_usd == usd(*done.attempts) > 0
    shown = policy.asked[1][0].messages
    assert [one["role"] for one in shown] == ["user", "assistant", "user"]
    assert "fake" not in shown[1]["content"], "what it made up itself is dropped"
    assert shown[2]["content"] == "<information>re: who?</information>"
    assert policy.asked[0][1].fields["stop"] == ["</search>", "</answer>"]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("Well, it depends.", "there is neither <search>"),
        ("<think>only thoughts", "there is neither <search>"),
        ("<think><search> large: in thought </search></think>", "there is neither <search>"),
        ("<search> huge: who? </search>", "no model is called 'huge'; there are policy, large"),
        ("<search> who was it? </search>", "there must be name: question"),
        ("<search> large: </search>", "the question to large is empty"),
        ("<answer>  </answer>", "the answer is empty"),
        ("", "there is neither <search>"),
    ],
)
def test_a_malformed_reply_is_told_and_counts(reply: str, told: str) -> None:
    policy, large = Talker("policy", thinker(reply, "<answer>4</answer>")), Talker("large", thinker(""))
    done = do(RouterR1("policy"), [policy, large])
    assert (done.given.content, len(large.asked)) == ("4", 0)
    assert told in policy.asked[1][0].messages[-1]["content"]
    assert told[:20] in done.notes


def test_a_loop_without_an_answer_ends_at_its_cap() -> None:
    questions = [f"<search> large: question {i} </search>" for i in range(9)]
    policy, large = Talker("policy", thinker(*questions)), Talker("large", thinker(""))
    done = do(RouterR1("policy", max_steps=3), [policy, large])
    roles = [role for _, role in done.asked]
    assert (roles.count("think"), roles.count("search")) == (3, 2)
    assert "Write the final answer" in policy.asked[2][0].messages[-1]["content"]
    assert done.given.content == "the whole"
    assert "asked whole: policy gave no answer in 3 steps" in done.notes


def test_the_same_is_not_asked_twice() -> None:
    ask = "<search> large: who? </search>"
    policy, large = Talker("policy", thinker(ask, ask, "<answer>4</answer>")), Talker("large", thinker(""))
    done = do(RouterR1("policy"), [policy, large])
    assert len(large.asked) == 1
    assert "large was asked the same before" in done.notes


@pytest.mark.parametrize("said", ["", DOWN, "I'm sorry, but I can\u2019t help with that."])
def test_a_model_that_gives_nothing_is_reported_to_the_policy(said: Any) -> None:
    policy = Talker("policy", thinker("<search>large: who?</search>", "<answer>4</answer>"))
    done = do(RouterR1("policy"), [policy, Talker("large", said)])
    assert done.given.content == "4"
    assert "large gave no answer" in policy.asked[1][0].messages[-1]["content"]


def test_a_policy_that_fails_leaves_the_ranking() -> None:
    done = do(RouterR1("policy"), [Talker("policy", DOWN), Talker("large", "the whole")])
    assert (done.given.candidate, done.asked[0]) == ("large", ("policy", "think"))
    assert "policy failed (ProviderUnavailable)" in done.notes
    with pytest.raises(AllAttemptsFailed):
        do(RouterR1("policy"), [Talker("policy", DOWN)])


@pytest.mark.parametrize("plan", [Decompose(), RouterR1()])
def test_a_stream_that_broke_before_anybody_saw_it_is_asked_of_the_next(plan: Any) -> None:
    small, large = Talker("small", "one two three", cut_after=1), Talker("large", "the whole")
    done = do(plan, [small, large], is_stream=True)
    assert done.given.candidate == "large"
    assert done.text.strip() == "the whole"


def test_the_cost_limit_bounds_the_loop() -> None:
    questions = [f"<search> large: question {i} </search>" for i in range(9)]
    policy, large = Talker("policy", thinker(*questions)), Talker("large", thinker(""))
    done = do(RouterR1("policy", max_steps=9, max_cost_usd=0.0051), [policy, large], costs=[0.001, 0.01])
    assert not large.asked, "it is too dear for the limit"
    assert "no room for large" in done.notes
    assert "Write the final answer" in policy.asked[1][0].messages[-1]["content"]
    done = do(RouterR1(max_cost_usd=0.0), [Talker("policy", thinker("<answer>4</answer>"))])
    assert [role for _, role in done.asked] == [""]
    assert "no room for another step" in done.notes


def test_only_named_models_may_be_asked() -> None:
    policy = Talker("policy", thinker("<search>large: who?</search>", "<answer>4</answer>"))
    large = Talker("large", thinker(""))
    plan = RouterR1("policy", models=["small"], descriptions={"small": "fast"})
    done = do(plan, [policy, Talker("small"), large])
    assert (done.given.content, len(large.asked)) == ("4", 0)
    assert "- small: fast" in policy.asked[0][0].text


def test_an_answer_of_the_wrong_shape_is_asked_whole() -> None:
    wish = Options(fields={"response_format": {"type": "json_object"}})
    done = do(RouterR1(), [Talker("policy", thinker("<answer>4</answer>"))], options=wish)
    assert done.given.content == "the whole"
    assert "policy: JSON, but no object" in done.notes


def test_names_with_colons_and_common_beginnings() -> None:
    thread = Thread("q", ["gemma", "gemma:2b"], max_steps=9)
    assert thread.take("<search>gemma:2b: who: me?</search>") == Search("gemma:2b", "who: me?")
    assert thread.take("<SEARCH> Gemma : who?</SEARCH>") == Search("gemma", "who?")
    assert isinstance(thread.take("<search>gem: who?</search>"), Malformed)
    assert thread.take("<think>a <answer> b</think><answer>c</answer> d") == Finish("c")
    assert Thread("what is {models}?", ["a"]).messages[0]["content"].endswith("Question: what is {models}?")


# --- draft and check


def checker(reply: Any) -> Callable[[Query, Options], Any]:
    def speak(query: Query, options: Options) -> Any:
        return reply if "is a draft of somebody else's" in str(query.chat()[-1]["content"]) else "the whole"

    return speak


def speculate(draft: Any, reply: Any, plan: Speculative | None = None, **fields: Any) -> Any:
    models = [Talker("small", draft), Talker("large", checker(reply), price=DEAR)]
    done = do(plan or Speculative("small", "large"), models, **fields)
    return done, models[1]


@pytest.mark.parametrize("reply", ['{"verdict": "accept"}', "Accept.", 'Fine: {"verdict": "accept"}'])
def test_an_accepted_draft_is_given_as_it_is(reply: str) -> None:
    done, large = speculate("2 + 2 is 4", reply)
    assert done.asked == [("small", "draft"), ("large", "verify")]
    assert (done.given.content, done.given.candidate) == ("2 + 2 is 4", "small")
    assert done.given.cost_usd == usd(*done.attempts)
    shown = large.asked[0][0].messages
    assert [one["role"] for one in shown] == ["user", "assistant", "user"]
    assert large.asked[0][1].fields == {"temperature": 0, "max_tokens": 400}


def test_an_edit_changes_only_what_it_names() -> None:
    reply = json.dumps(
        {"verdict": "edit", "edits": [{"old": "is 5", "new": "is 4"}, {"old": "!", "new": "."}]}
    )
    done, _ = speculate("2 + 2 is 5!", reply)
    assert (done.given.content, done.given.candidate) == ("2 + 2 is 4.", "small")
    assert len(done.attempts) == 2
    assert json.loads(done.given.body or b"")["usage"]["total_tokens"] == done.given.usage.total_tokens


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ('{"verdict": "rewrite"}', "wants the draft written anew"),
        ("Hm, I am not sure.", "said nothing usable"),
        ("", "said nothing usable"),
        ('{"verdict": "edit", "edits": []}', "said nothing usable"),
        ('{"verdict": "edit", "edits": [{"old": "absent", "new": "x"}]}', "said nothing usable"),
        ('{"verdict": "edit", "edits": [{"old": "2", "new": "3"}]}', "said nothing usable"),
        ('{"verdict": "edit", "edits": [{"old": "2 + 2 is 5", "new": " "}]}', "said nothing usable"),
        ('{"verdict": "edit", "edits": {"old": 1}}', "said nothing usable"),
    ],
)
def test_what_does_not_approve_is_asked_whole(reply: str, said: str) -> None:
    done, _ = speculate("2 + 2 is 5", reply)
    assert done.asked == [("small", "draft"), ("large", "verify"), ("large", "")]
    assert done.given.content == "the whole"
    assert said in done.notes
    assert done.given.cost_usd == usd(*done.attempts)


def test_a_check_that_fails_leaves_the_draft() -> None:
    done, _ = speculate("2 + 2 is 4", DOWN)
    assert (done.given.content, len(done.attempts)) == ("2 + 2 is 4", 2)
    assert "could not check the draft (ProviderUnavailable)" in done.notes


@pytest.mark.parametrize("draft", ["", DOWN, "I'm sorry, but I can\u2019t help with that."])
def test_a_draft_that_is_none_is_not_checked(draft: Any) -> None:
    done, _ = speculate(draft, "accept")
    assert done.asked == [("small", "draft"), ("large", "")]
    assert done.given.content == "the whole"


def test_the_limit_leaves_the_check_out_or_the_second_answer() -> None:
    plan = Speculative("small", "large", max_cost_usd=0.001)
    done, large = speculate("4", "accept", plan, costs=[0.001, 0.01])
    assert (done.given.content, len(large.asked)) == ("4", 0)
    assert "no room for a check" in done.notes
    done, _ = speculate("", "accept", plan, costs=[0.0001, 0.01])
    assert done.given.content == "", "nobody else may be asked but the drafter, who says the same"


def test_everybody_down_and_one_candidate() -> None:
    with pytest.raises(AllAttemptsFailed):
        do(Speculative(), [Talker("small", DOWN), Talker("large", DOWN)], costs=[0.001, 0.01])
    done = do(Speculative("small"), [Talker("small")])
    assert done.asked == [("small", "")]


def test_roles_are_chosen_where_none_are_named() -> None:
    decision = context_of([Talker(name) for name in "abc"], costs=[0.02, 0.001, 0.03]).decision
    assert decision is not None
    assert Speculative().roles("abc", decision) == ("b", "a"), "no baseline: the first of the ranking checks"
    estimate = Speculative("b", "c").estimate(Query(text="q"), decision)
    assert estimate.cost_usd == pytest.approx(0.031)


def test_verdicts_and_edits() -> None:
    assert verdict('{"a": 1} {"verdict": "rewrite"}') is not None
    assert verdict('{"verdict": "maybe"}') is None
    assert edited("a b", [Edit("a", "b b"), Edit("b b b", "c")]) == "c"


# --- all of them

PLANS: dict[str, Callable[[], tuple[Any, list[Talker]]]] = {
    "decompose": lambda: (Decompose(), [Talker("small", splitter(json.dumps(ROUTE_66)))]),
    "router_r1": lambda: (
        RouterR1("policy"),
        [
            Talker("policy", thinker("<search>large: who?</search>", "<answer>in two words</answer>")),
            Talker("large", thinker("")),
        ],
    ),
    "speculative": lambda: (
        Speculative("small", "large"),
        [
            Talker("small", "2 + 2 is 5"),
            Talker("large", checker('{"verdict": "edit", "edits": [{"old": "5", "new": "4"}]}')),
        ],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_stream_is_held_back_then_streamed_with_the_sums(name: str) -> None:
    plan, models = PLANS[name]()
    whole = do(plan, models)
    plan, models = PLANS[name]()
    done = do(plan, models, is_stream=True, options=STREAM)
    kinds = [type(event) for event in done.events]
    assert kinds.index(Answer) < kinds.index(Chunk)
    assert done.text.split() == whole.given.content.split()
    assert json.loads(done.chunks[-1].data)["usage"]["total_tokens"] == done.given.usage.total_tokens
    assert done.given.usage == whole.given.usage
    assert all(json.loads(chunk.data)["choices"] == [] or chunk.text for chunk in done.chunks[-1:])
    plan, models = PLANS[name]()
    quiet = do(plan, models, is_stream=True)
    assert not any(b"usage" in chunk.data for chunk in quiet.chunks)


@pytest.mark.parametrize("name", PLANS)
def test_requests_with_tools_are_asked_once_and_several_answers_refused(name: str) -> None:
    plan, models = PLANS[name]()
    done = do(plan, models, Query(text="how are you", needs=frozenset({"tools"})))
    assert [role for _, role in done.asked] == [""]
    with pytest.raises(InvalidRequest):
        do(plan, models, options=Options(fields={"n": 2}))


@pytest.mark.parametrize("name", PLANS)
def test_who_leaves_cancels_every_call(name: str) -> None:
    plan, _ = PLANS[name]()
    models = [Talker(one, splitter(json.dumps(ROUTE_66)), delay_s=lambda n: 30.0 if n > 1 else 0.0)
              for one in ("small", "large", "policy")]  # fmt: skip

    async def main() -> None:
        async def drain() -> None:
            async for _ in plan.run(Query(text="how are you"), context_of(models)):
                pass

        task = asyncio.ensure_future(drain())
        await asyncio.sleep(0.05)
        assert sum(model.n_running for model in models) >= 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not any(model.n_running for model in models)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("decompose", {"max_parts": 1}),
        ("decompose", {"depth": 0}),
        ("decompose", {"route": "coin"}),
        ("decompose", {"part_timeout_s": 0}),
        ("router_r1", {"max_steps": 1}),
        ("router_r1", {"max_tokens": 0}),
        ("router_r1", {"models": "small"}),
        ("speculative", {"max_edit_tokens": 0}),
        ("speculative", {"max_cost_usd": -1.0}),
        ("speculative", {"colour": 1}),
    ],
)
def test_wrong_parameters_are_errors(name: str, params: dict[str, Any]) -> None:
    assert name in plans.available()
    with pytest.raises(ConfigError):
        plans.create(name, **params)
