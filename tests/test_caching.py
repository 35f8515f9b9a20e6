"""Caches: one key for one meaning, nothing across tenants, nothing that a guard forbids, nothing stale."""

from __future__ import annotations

import dataclasses
import random
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice.caching import (
    Allowed,
    Asked,
    ExactCache,
    Found,
    Judgement,
    Kept,
    Pair,
    SemanticCache,
    asked,
    why_not,
    why_not_kept,
)
from suffice.caching.guards import GUARDS, raised
from suffice.caching.index import Neighbours
from suffice.caching.judgement import FEATURES, features
from suffice.caching.lexicon import lexicon
from suffice.caching.reading import MAX_CHARACTERS, read
from suffice.embedders import create
from suffice.errors import ConfigError, DataError, EmbedderError
from suffice.types import Answer, Options, Query

EMBEDDER = create("hashed")
NOW = 1_000_000.0


def ask(text: str, tenant: str = "a", **fields: Any) -> Asked:
    return asked(Query(text=text), Options(fields=fields), tenant=tenant)


def kept(text: str, tenant: str = "a", *, at: float = NOW, ttl_s: float = 60, **more: Any) -> Kept:
    content = more.pop("content", f"answer to {text[:40]} for {tenant}")
    return Kept(
        asked=ask(text, tenant),
        answer=Answer(content=content, candidate="small", finish_reason="stop"),
        candidate=more.pop("candidate", "small"),
        at=at,
        expires_at=at + ttl_s,
        **more,
    )


def vector(text: str) -> np.ndarray:
    return EMBEDDER.embed([text])[0]


class Caches:
    """Both caches behind the same calls."""

    def __init__(self, name: str, **bounds: int) -> None:
        self.cache = (
            ExactCache(**bounds)
            if name == "exact"
            else SemanticCache(EMBEDDER.name, EMBEDDER.dimensions, few=8, **bounds)
        )

    def put(self, text: str, tenant: str = "a", now: float = NOW, **more: Any) -> None:
        self.cache.put(kept(text, tenant, at=now, **more), vector(text), now)

    def get(self, text: str, tenant: str = "a", now: float = NOW) -> Found | None:
        return self.cache.get(ask(text, tenant), vector(text), now)


@pytest.fixture(params=["exact", "semantic"])
def caches(request: pytest.FixtureRequest) -> Any:
    return lambda **bounds: Caches(request.param, **bounds)


# one key for one meaning

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, width=32)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def _turned(value: Any) -> Any:
    """The same JSON with every object's keys in the other order."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.text(max_size=30))
@settings(max_examples=50, deadline=None)
def test_the_order_of_keys_makes_no_other_request(fields: dict[str, Any], text: str) -> None:
    assert ask(text, x=fields) == ask(text, x=_turned(fields))


@given(st.text(max_size=60))
@settings(max_examples=50, deadline=None)
def test_accents_composed_or_not_and_space_around_make_no_other_request(text: str) -> None:
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, text)
        assert ask(f" \n{other}\t").exact == ask(text).exact


@given(st.permutations([{"type": "function", "function": {"name": name}} for name in "abc"]))
@settings(max_examples=6, deadline=None)
def test_the_order_of_tools_makes_no_other_request(tools: list[dict[str, Any]]) -> None:
    assert ask("x", tools=tools).exact == ask("x", tools=sorted(tools, key=str)).exact


@pytest.mark.parametrize(
    "other",
    [
        ask("x", tenant="b"),
        ask("x", temperature=0.5),
        ask("x", response_format={"type": "json_object"}),
        ask("x", tools=[{"type": "function", "function": {"name": "f"}}]),
        ask("X"),
        ask("a  b"),
        ask("x", stop=["\n"]),
        ask("x", stop=[" "]),
        asked(Query(text="x"), Options(), tenant="a", also=("prompt-2",)),
        asked(Query.from_messages([{"role": "system", "content": "s"}, {"role": "user", "content": "x"}]),
              Options(), tenant="a"),
        asked(Query.from_messages([{"role": "user", "content": [{"type": "text", "text": "x"},
              {"type": "image_url", "image_url": {"url": "data:,1"}}]}]), Options(), tenant="a"),
    ],
)  # fmt: skip
def test_what_decides_an_answer_makes_another_request(other: Asked) -> None:
    assert other.exact not in {ask("x").exact, ask("a b").exact}


def test_scopes_part_conversations_but_not_last_messages() -> None:
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    one, other = (
        asked(Query.from_messages([*earlier, {"role": "user", "content": text}]), Options(), tenant="a")
        for text in ("What is 2 + 2?", "What is 2 + 3?")
    )
    assert one.scope == other.scope
    assert one.exact != other.exact
    assert one.scope != ask("What is 2 + 2?").scope
    as_parts = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    assert asked(Query.from_messages(as_parts), Options(), tenant="a").text == "x"


def test_half_a_surrogate_pair_and_no_user_message_have_keys_too() -> None:
    assert ask("\ud800").exact != ask("\ud801").exact
    assert asked(Query.from_messages([{"role": "system", "content": "s"}]), Options(), tenant="a").text == ""


# which requests and answers


@pytest.mark.parametrize(
    ("text", "fields", "reason"),
    [
        ("What is the capital of Peru?", {}, None),
        ("Where is my order?", {}, "personal"),
        ("Wo ist meine Bestellung?", {}, "personal"),
        ("我的订单在哪里?", {}, "personal"),
        ("Write to jane.doe@example.org", {}, "personal"),
        ("What is the weather in Oslo?", {}, "time-bound"),
        ("Who is the current champion? Latest news", {}, "time-bound"),
        ("Какая погода сегодня?", {}, "time-bound"),
        ("今天几号?", {}, "time-bound"),
        ("Who am I?", {}, "personal"),
        ("Do you remember anything about me?", {}, "personal"),
        ("Wer bin ich?", {}, "personal"),
        ("Who won the last election?", {}, "time-bound"),
        ("When is the next World Cup?", {}, "time-bound"),
        ("How much does bitcoin cost?", {}, "time-bound"),
        ("What is an ounce of silver worth? The value of gold", {}, "time-bound"),
        ("What is the last letter of the alphabet?", {}, None),
        ("How does a gas turbine work?", {}, None),
        ("What am I doing is a phrase of which song?", {}, "personal"),
        ("  ", {}, "no text"),
        ("x", {"n": 2}, "more than one answer is wanted"),
        ("x", {"temperature": 1.5}, "a high temperature"),
        ("x", {"logprobs": True}, "token probabilities are wanted"),
        ("x", {"tools": [{"type": "function"}]}, "tools"),
        ("x", {"tools": [{"type": "function"}], "tool_choice": "none"}, None),
        ("x", {"stream": True, "temperature": 1, "n": 1}, None),
    ],
)
def test_which_requests_may_be_cached(text: str, fields: dict[str, Any], reason: str | None) -> None:
    assert why_not(Query(text=text), Options(fields=fields)) == reason
    all_of_it = Allowed(personal=True, time_bound=True, tools=True, max_temperature=2)
    assert why_not(Query(text=text), Options(fields=fields), all_of_it) == (
        reason
        if reason in ("no text", "more than one answer is wanted", "token probabilities are wanted")
        else None
    )


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        (Answer(content="Lima", candidate="m", finish_reason="stop"), True),
        (Answer(content="Li", candidate="m", finish_reason="length"), False),
        (Answer(content="Lima", candidate="m"), False),
        (Answer(content=" ", candidate="m", finish_reason="stop"), False),
        (Answer(content="x", candidate="m", finish_reason="stop", tool_calls=({"id": "1"},)), False),
        (Answer(content="I'm sorry, but I cannot help.", candidate="m", finish_reason="stop"), False),
        (Answer(content="抱歉，我无法回答。", candidate="m", finish_reason="stop"), False),
        (Answer(content="The sorry state of ...", candidate="m", finish_reason="stop"), True),
    ],
)
def test_which_answers_are_kept(answer: Answer, is_kept: bool) -> None:
    assert (why_not_kept(answer) is None) == is_kept


# guards


@pytest.mark.parametrize(
    ("guard", "a", "b"),
    [
        ("numbers", "Boil 3 eggs", "Boil 4 eggs"),
        ("numbers", "Boil three eggs", "Boil 13 eggs"),
        ("numbers", "१२ घंटे", "१३ घंटे"),
        ("numbers", "版本 2.5.1 的变化", "版本 2.5.2 的变化"),
        ("negation", "Which foods contain gluten?", "Which foods do not contain gluten?"),
        ("negation", "哪些食物含有麸质", "哪些食物不含有麸质"),
        ("negation", "Welche Pilze sind giftig?", "Welche Pilze sind nicht giftig?"),
        ("names", "Who founded the city of Rome?", "Who founded the city of Oslo?"),
        ("names", 'What does "affect" mean?', 'What does "effect" mean?'),
        ("units", "What is 5 miles in metres?", "What is 5 feet in metres?"),
        ("units", "Convert 5 miles to kilometres", "Convert 5 kilometres to miles"),
        ("dates", "Is the shop open on Monday?", "Is the shop open on Tuesday?"),
        ("quantities", "Do all birds fly?", "Do only birds fly?"),
        ("direction", "What is the largest lake?", "What is the smallest lake?"),
        ("direction", "How do I buy shares?", "How do I sell shares?"),
        ("question", "When did the ship sink?", "Where did the ship sink?"),
        ("question", "Why does ice float?", "Does ice float?"),
        ("question", "Can I eat raw dough?", "Should I eat raw dough?"),
        ("tense", "Who was elected?", "Who will be elected?"),
        ("roles", "Fly from Rome to Oslo", "Fly from Oslo to Rome"),
        ("roles", "Is Java faster than Go?", "Is Go faster than Java?"),
        ("substance", "How is it done?", "What should I do about this?"),
    ],
)
def test_guards_see_what_an_embedder_hardly_does(guard: str, a: str, b: str) -> None:
    assert guard in raised(read(a), read(b))
    assert guard in raised(read(b), read(a))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("How do I buy 3 tickets?", "Could you tell me how to purchase three tickets, please?"),
        ("What is 1,500 metres in feet?", "How many feet are 1500 meters?"),
        ("What's the capital of Peru?", "Name the capital city of Peru."),
        ("Why is the sky blue?", "What is the reason that the sky is blue?"),
        ("Fly from Rome to Oslo", "To Oslo from Rome, fly"),
        ("How long is the 2nd film?", "How long is the second film?"),
        ("Water it daily", "Water it every day"),
        ("٣ أيام", "3 أيام"),
    ],
)
def test_guards_let_pass_what_says_the_same(a: str, b: str) -> None:
    assert raised(read(a), read(b)) == ()


WORDS = ["how", "do", "i", "not", "buy", "sell", "3", "three", "kilometres", "Rome", "Oslo", "from", "to"]
WORDS += ["monday", "the", "largest", "why", "不", "and", "than", "?"]
TEXTS = st.text(max_size=80) | st.lists(
    st.sampled_from(WORDS),
    max_size=12,
).map(" ".join)


@given(TEXTS, TEXTS)
@settings(max_examples=80, deadline=None)
def test_guards_and_features_see_a_pair_the_same_way_round_or_not(a: str, b: str) -> None:
    one, other = read(a), read(b)
    assert raised(one, other) == raised(other, one)
    assert features(one, other, 0.5, 0) == pytest.approx(features(other, one, 0.5, 0))


@given(TEXTS)
@settings(max_examples=80, deadline=None)
def test_no_guard_but_substance_is_raised_against_the_same_text(text: str) -> None:
    assert set(raised(read(text), read(text))) <= {"substance"}
    assert set(raised(read(text), read(f"  {text}\n"))) <= {"substance"}


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_numbers_are_told_apart_in_every_spelling(a: int, b: int) -> None:
    for spelt in (f"{b}", f"{b:,}", "".join(chr(0x0966 + int(digit)) for digit in str(b))):
        assert ("numbers" in raised(read(f"boil {a} eggs"), read(f"boil {spelt} eggs"))) == (a != b)


# the judgement


def test_what_is_learnt_is_calibrated_and_keeps_its_promise() -> None:
    rng = random.Random(0)
    nouns = ["thing" + a + b for a in "bcdfghjk" for b in "lmnpqrtv"]

    def pair() -> Pair:
        noun, other = rng.sample(nouns, 2)
        same = rng.random() < 0.5
        b = f"Tell me how to repair a {noun if same else other}"
        return Pair(a=f"How do I fix a {noun}?", b=b, same=same, cosine=rng.random())

    learnt = Judgement.fit([pair() for _ in range(300)]).calibrated([pair() for _ in range(900)])
    assert len(learnt.weights) == len(FEATURES)
    assert learnt.precision == 0.98
    verdict = learnt.verdict(read("How do I fix a lamp?"), read("Tell me how to repair a lamp"), 0.5)
    assert verdict.probability >= learnt.threshold
    assert learnt.verdict(read("How do I fix a lamp?"), read("How do I fix a chair?"), 0.99).probability < 0.5
    with pytest.raises(DataError):
        Judgement.fit([pair for pair in [pair()] if pair.same])
    with pytest.raises(DataError, match="precision"):
        learnt.calibrated([pair() for _ in range(20)], precision=0.999)


def test_the_shipped_judgements_are_those_of_the_lexicon() -> None:
    for name in ("hashed-1:b1", "minilm@123", "text-embedding-3"):
        judgement = Judgement.shipped(name)
        assert len(judgement.weights) == len(FEATURES)
        assert 0.5 < judgement.threshold < 1
    assert Judgement.shipped("another") == Judgement.shipped("words")
    for one, others in lexicon().opposites.items():
        assert one not in others


# the caches


def test_an_answer_comes_back_for_the_same_request_alone(caches: Any) -> None:
    one = caches()
    one.put("What is the capital of Peru?")
    found = one.get("What is the capital of Peru?")
    assert found is not None
    assert found.kept.answer.content == "answer to What is the capital of Peru? for a"
    assert one.get("What is the capital of Chile?") is None
    assert one.cache.get(ask("What is the capital of Peru?", seed=2), vector("What is ..."), NOW) is None
    assert one.get("What is the capital of Peru?", tenant="b") is None


def test_a_later_answer_takes_the_place_of_the_earlier(caches: Any) -> None:
    one = caches()
    one.put("Explain osmosis", content="old")
    one.put("Explain osmosis", content="new")
    assert len(one.cache) == 1
    assert one.get("Explain osmosis").kept.answer.content == "new"


def test_answers_age_and_clocks_jump(caches: Any) -> None:
    one = caches()
    one.put("Explain osmosis")
    assert one.get("Explain osmosis", now=NOW + 59.9) is not None
    assert one.get("Explain osmosis", now=NOW - 3600) is None  # set back: the answer is from the future
    assert one.get("Explain osmosis", now=NOW + 1) is not None  # and forth again
    assert one.get("Explain osmosis", now=NOW + 60) is None
    assert len(one.cache) == 0
    assert one.cache.n_bytes == 0
    one.put("Explain osmosis", ttl_s=0)
    assert len(one.cache) == 0


def test_the_least_recently_used_make_room(caches: Any) -> None:
    one = caches(entries=3)
    for word in ("osmosis", "entropy", "inflation"):
        one.put(f"Explain {word}")
    assert one.get("Explain osmosis") is not None
    one.put("Explain gravity")
    assert len(one.cache) == 3
    assert one.get("Explain entropy") is None
    assert one.get("Explain osmosis") is not None


def test_bytes_are_bounded_too(caches: Any) -> None:
    one = caches(max_bytes=5_000)
    for i in range(40):
        one.put(f"Explain thing{i}x", content="y" * 300)
        assert one.cache.n_bytes <= 5_000
    assert 3 <= len(one.cache) < 10
    one.put("Explain osmosis", content="y" * 10_000)
    assert one.get("Explain osmosis") is None
    with pytest.raises(ConfigError):
        caches(entries=0)


@pytest.mark.parametrize(
    ("meant", "left"),
    [
        ({}, 0),
        ({"tenant": "a"}, 1),
        ({"tag": "v1"}, 2),
        ({"candidate": "large"}, 2),
        ({"before": NOW + 1}, 1),
        ({"tenant": "b", "tag": "v1"}, 3),
    ],
)
def test_forgetting(caches: Any, meant: dict[str, Any], left: int) -> None:
    one = caches()
    one.put("Explain osmosis", tags=("v1", "x"))
    one.put("Explain entropy", candidate="large")
    one.put("Explain gravity", "b", now=NOW + 5)
    assert one.cache.forget(**meant) == 3 - left
    assert len(one.cache) == left


@given(
    st.lists(
        st.tuples(st.sampled_from("pgfx"), st.integers(0, 9), st.sampled_from("ab"), st.integers(0, 99)),
        max_size=60,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_cache_is_a_dictionary_with_an_end(steps: list[tuple[str, int, str, int]]) -> None:
    """Against a plain dictionary: what is found is what was put last, is fresh, and is the tenant's own."""
    for name in ("exact", "semantic"):
        one, plain = Caches(name), {}
        for step, i, tenant, later in steps:
            text, now = f"Explain thing{i}x", NOW + later
            if step == "p":
                one.put(text, tenant, now, content=f"{i}{tenant}{later}")
                plain[text, tenant] = now, f"{i}{tenant}{later}"
            elif step == "f":
                one.cache.forget(tenant=tenant)
                plain = {key: value for key, value in plain.items() if key[1] != tenant}
            else:
                found = one.get(text, tenant, now)
                at, content = plain.get((text, tenant), (0, ""))
                is_fresh = at <= now < at + 60
                assert (found.kept.answer.content if found else None) == (content if is_fresh else None)
                if now >= at + 60:
                    plain.pop((text, tenant), None)


def test_nobody_is_served_what_another_tenant_put() -> None:
    """Poisoning: one tenant fills the cache with lures for the questions of others, before and after."""
    rng = random.Random(0)
    topics = [f"the {noun} of {place}" for noun in ("capital", "currency", "anthem", "flag") for place in
              ("Peru", "Chile", "Norway", "Kenya", "Japan")]  # fmt: skip
    ways = ["What is {}?", "Tell me {}.", "Name {}", "What's {}?", "Explain {}", "{}"]
    cache = SemanticCache(EMBEDDER.name, EMBEDDER.dimensions, few=16, near=0.0)
    exact = ExactCache()
    tenants = ["mallory", "alice", "bob", "", "Alice", "alice\x00"]
    served = 0
    for _ in range(600):
        tenant = rng.choice(tenants)
        text = rng.choice(ways).format(rng.choice(topics))
        if tenant == "mallory" or rng.random() < 0.3:
            entry = kept(text, tenant, content=f"from {tenant}")
            cache.put(entry, vector(text), NOW)
            exact.put(entry, None, NOW)
        for found in (
            cache.get(ask(text, tenant), vector(text), NOW),
            exact.get(ask(text, tenant), None, NOW),
        ):
            if found is not None:
                served += 1
                assert found.kept.answer.content == f"from {tenant}"
                assert found.kept.asked.tenant == tenant
    assert served > 200


def test_a_forged_digest_finds_nothing_of_others() -> None:
    cache = ExactCache()
    cache.put(kept("Explain osmosis", "alice"), None, NOW)
    mine, theirs = ask("x", "mallory"), ask("Explain osmosis", "alice")
    forged = Asked(tenant="mallory", scope=mine.scope, text=mine.text, exact=theirs.exact)
    assert cache.get(forged, None, NOW) is None


def test_other_words_find_the_answer_and_near_ones_say_why_not() -> None:
    cache = SemanticCache(EMBEDDER.name, EMBEDDER.dimensions, near=0.4)
    cache.put(kept("How do I buy 3 tickets for the opera in Vienna?"), vector("How do I buy 3 tickets"), NOW)
    found = cache.get(
        *_asking("Could you tell me how to purchase three tickets for the opera in Vienna?"), NOW
    )
    assert found is not None
    assert found.way == "semantic"
    assert found.probability >= cache.threshold
    near = SemanticCache(EMBEDDER.name, EMBEDDER.dimensions, near=0.4)
    near.put(kept("How do I buy 3 tickets?"), vector("How do I buy 3 tickets?"), NOW)
    found = near.get(*_asking("How do I buy 4 tickets?"), NOW)
    assert found is not None
    assert found.way == "near"
    assert "numbers" in found.reason
    assert SemanticCache(EMBEDDER.name, 64).get(*_asking("How do I buy 4 tickets?"), NOW) is None


def _asking(text: str) -> tuple[Asked, np.ndarray]:
    return ask(text), vector(text)


def test_what_is_never_compared() -> None:
    cache = SemanticCache(EMBEDDER.name, EMBEDDER.dimensions)
    for text in ("", "   ", "x" * (MAX_CHARACTERS + 1), "word " * 200_000):
        cache.put(kept(text), vector(text), NOW)
        assert cache.get(ask(text), vector(text), NOW) is None
    assert len(cache) == 0
    cache.put(kept("Explain osmosis"), None, NOW)
    assert len(cache) == 0
    exact = ExactCache()
    exact.put(kept("word " * 200_000), None, NOW)
    assert exact.get(ask("word " * 200_000), None, NOW) is not None
    assert read("word " * 200_000) == read("word " * 200_000)


@pytest.mark.parametrize(
    ("a", "b", "is_served"),
    [
        ("日本の首都はどこですか", "日本の首都はどこですか？", True),
        ("日本の首都はどこですか", "中国の首都はどこですか", False),
        ("Какая столица Перу?", "Какая столица Чили?", False),
        ("كم عدد سكان ٣ مدن", "كم عدد سكان ٤ مدن", False),
    ],
)
def test_other_scripts(a: str, b: str, is_served: bool) -> None:
    cache = SemanticCache(EMBEDDER.name, EMBEDDER.dimensions)
    cache.put(kept(a), vector(a), NOW)
    assert (cache.get(ask(b), vector(b), NOW) is not None) == is_served


def test_vectors_of_another_embedder_are_refused_and_the_cache_rebuilt() -> None:
    other = create("hashed", dimensions=32)
    cache = SemanticCache(EMBEDDER.name, EMBEDDER.dimensions)
    cache.put(kept("Explain osmosis"), vector("Explain osmosis"), NOW)
    foreign = other.embed(["Explain osmosis"])[0]
    with pytest.raises(EmbedderError, match="another embedder"):
        cache.get(ask("Explain osmosis"), foreign, NOW)
    with pytest.raises(EmbedderError):
        cache.put(kept("Explain entropy"), foreign, NOW)
    assert len(cache) == 1
    new = cache.rebuilt(other, NOW + 1)
    assert new.embedder == other.name
    assert new.get(ask("Explain osmosis"), foreign, NOW + 1) is not None


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"near": 2}, {"neighbours": 0}, {"entries": 0}])
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SemanticCache(EMBEDDER.name, EMBEDDER.dimensions, **wrong)


# the index


@pytest.mark.parametrize("few", [10, 10_000])
def test_neighbours_are_those_of_a_plain_search(few: int) -> None:
    if few == 10:
        pytest.importorskip("usearch")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Neighbours(16, few=few)
    for i, row in enumerate(vectors):
        index.add(i, row)
    for i in range(0, 300, 3):
        index.remove(i)
    left = np.array([i for i in range(300) if i % 3])
    assert len(index) == len(left)
    hits = 0
    for row in vectors[:60]:
        found = index.search(row, 3)
        cosines = vectors[left] @ row
        assert all(number % 3 for number, _ in found)
        assert found[0][1] == pytest.approx(vectors[found[0][0]] @ row, abs=0.02)
        assert index.cosine(found[0][0], row) == pytest.approx(found[0][1], abs=0.02)
        hits += found[0][0] == left[np.argmax(cosines)]
    assert hits >= 55


def test_guards_have_words_of_their_own() -> None:
    assert all(guard.__doc__ for guard in GUARDS.values())
    assert not dataclasses.is_dataclass(Kept)  # a struct, which the store encodes as it is
