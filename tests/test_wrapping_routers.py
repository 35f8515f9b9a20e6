"""Rules, sticky conversations and a model that chooses: routers around what others predict."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import routers
from suffice.errors import ConfigError, ProviderUnavailable
from suffice.routers.llm import LLM, parse
from suffice.routers.ruleset import RuleSet
from suffice.routers.sticky import Conversations, Sticky, prefix_saving_usd
from suffice.testing import table
from suffice.types import Answer, Candidate, Options, Price, Query

TABLE = table()
ARMS = ("small", "large", "local")


class Judge:
    """A model that says what it is told to."""

    candidate = Candidate(name="judge", provider="fake", model="judge")

    def __init__(self, said: str | Exception) -> None:
        self.said = said
        self.asked: list[str] = []

    async def answer(self, query: Query, options: Options) -> Answer:
        self.asked.append(query.text)
        if isinstance(self.said, Exception):
            raise self.said
        return Answer(content=self.said, candidate="judge")

    async def close(self) -> None:
        """Nothing is open."""


def allowed(rules: list[dict[str, Any]], query: Query) -> list[str]:
    may, _ = RuleSet(rules).allowed(query, ARMS)
    return [arm for arm, is_allowed in zip(ARMS, may, strict=True) if is_allowed]


@pytest.mark.parametrize(
    ("when", "query", "matches"),
    [
        ({}, Query(text=""), True),
        ({"keywords": ["law", "due date"]}, Query(text="What LAW is this?"), True),
        ({"keywords": ["law", "due date"]}, Query(text="lawn"), False),
        ({"keywords": ["due date"]}, Query(text="the Due Date, please"), True),
        ({"keywords": ["c++"]}, Query(text="in C++ or not"), True),
        ({"regex": r"^\s*def "}, Query(text="def f(): pass"), True),
        ({"regex": r"^\s*def "}, Query(text="undef f"), False),
        ({"tags": ["a", "b"]}, Query(text="", tags=("b",)), True),
        ({"tags": ["a"]}, Query(text="", tags=("b",)), False),
        ({"tags": ["a"]}, Query(text=""), False),
        ({"needs": ["vision"]}, Query(text="", needs=frozenset({"vision"})), True),
        ({"needs": ["vision"]}, Query(text=""), False),
        ({"min_characters": 3}, Query(text="ab"), False),
        ({"min_characters": 3}, Query(text="abc"), True),
        ({"max_characters": 3}, Query(text="abcd"), False),
        ({"keywords": ["law"], "tags": ["x"]}, Query(text="law"), False),
    ],
)
def test_when_a_rule_holds(when: dict[str, Any], query: Query, matches: bool) -> None:
    assert (allowed([{"when": when, "use": ["local"]}], query) == ["local"]) == matches


def test_all_matching_rules_hold_together() -> None:
    rules = [{"avoid": ["small"]}, {"when": {"keywords": ["secret"]}, "use": ["local", "small"]}]
    assert allowed(rules, Query(text="hello")) == ["large", "local"]
    assert allowed(rules, Query(text="a secret")) == ["local"]
    assert allowed([*rules, {"avoid": ["local"]}], Query(text="a secret")) == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "names no arm"),
        ({"use": ["small"], "when": {"colour": "red"}}, "colour"),
        ({"use": "small"}, "rule 1"),
        ({"use": ["small"], "when": {"regex": "("}}, "does not compile"),
        ({"use": ["small"], "unless": 1}, "unless"),
    ],
)
def test_rules_that_cannot_be(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RuleSet([rule])


def test_a_rule_with_an_arm_that_is_not_there_is_no_constraint_and_so_an_error() -> None:
    with pytest.raises(ConfigError, match="smal"):
        RuleSet([{"avoid": ["smal"]}]).check(ARMS)


def test_rules_as_a_router() -> None:
    rule = {"when": {"keywords": ["integral"]}, "avoid": ["abacus"], "name": "no sums"}
    router = routers.create("rules", rules=[rule], inner="strongest").fit(TABLE)
    plain, ruled = router.scores([Query(text="poem"), Query(text="an integral")])
    np.testing.assert_allclose(plain, TABLE.quality.mean(axis=0))
    assert ruled[0] == 0
    assert (ruled[1:] == plain[1:]).all()
    assert "matched: no sums" in router.explain(Query(text="an integral")).evidence


@pytest.mark.parametrize("inner", ["sticky", "rules", "nobody.py:Nobody"])
def test_what_cannot_be_wrapped(inner: str) -> None:
    with pytest.raises(ConfigError):
        routers.create("sticky", inner=inner).fit(TABLE)


def test_a_file_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    for code, said in (("import no_such_module", "no_such_module"), ("def (", "SyntaxError")):
        (tmp_path / f"{said}.py").write_text(code)
        with pytest.raises(ConfigError, match=f"cannot be loaded: .*{said}"):
            routers.get(f"{tmp_path / said}.py:Mine")


def test_a_conversation_stays_unless_another_arm_is_clearly_better() -> None:
    router = routers.create("sticky", inner="strongest", margin=0.05).fit(TABLE)
    means = TABLE.quality.mean(axis=0)
    talk, other = Query(text="poem", session="s"), Query(text="poem", session="t")
    np.testing.assert_allclose(router.scores([talk])[0], means)
    router.remember(talk, "coder", now=10.0)
    np.testing.assert_allclose(router.scores([talk])[0] - means, [0, 0.05, 0], atol=1e-12)
    np.testing.assert_allclose(router.scores([other])[0], means)
    np.testing.assert_allclose(router.scores([Query(text="poem")])[0], means)
    assert "coder answers this conversation" in router.explain(talk).evidence[0]
    assert router.incumbent(talk, now=11.0) == "coder"
    assert router.incumbent(talk, now=10_000.0) is None


def test_a_trained_router_is_made_sticky(tmp_path: Path) -> None:
    ridge = routers.create("ridge").fit(TABLE)
    router = Sticky.around(ridge, margin=0.1)
    np.testing.assert_array_equal(router.scores(TABLE.queries), ridge.scores(TABLE.queries))
    assert router.arms == ridge.arms


def test_conversations_are_bounded_also_between_threads() -> None:
    kept = Conversations(max_sessions=50, ttl_s=1.0)

    def talk(first: int) -> None:
        for number in range(first, first + 500):
            kept.remember(f"{number % 70}", "small", now=float(number))

    threads = [threading.Thread(target=talk, args=(start,)) for start in (0, 7, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 50
    kept.remember(None, "small")
    assert kept.arm(None) is None


@pytest.mark.parametrize("params", [{"margin": -0.1}, {"margin": 2.0}, {"ttl_s": 0}, {"max_sessions": 0}])
def test_sticky_parameters_that_cannot_be(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        routers.create("sticky", **params)


def test_what_a_prefix_saves() -> None:
    price = Price(
        input_usd_per_mtok=Decimal(2),
        output_usd_per_mtok=Decimal(8),
        cached_input_usd_per_mtok=Decimal("0.5"),
    )
    candidate = Candidate(name="a", provider="fake", model="a", price=price)
    messages = [{"role": "user", "content": "x" * 4000}, {"role": "user", "content": "and now?"}]
    talk = Query.from_messages(messages)
    assert prefix_saving_usd(talk, candidate) == pytest.approx(1000 * 1.5e-6)
    assert prefix_saving_usd(Query(text="x"), candidate) == 0
    assert prefix_saving_usd(talk, Candidate(name="b", provider="fake", model="b")) == 0


def test_a_model_chooses() -> None:
    judge = Judge('I think {"abacus": 9, "coder": 1}')
    router = LLM(model=judge, trust=0.5, descriptions={"coder": "writes programs"}).fit(TABLE)
    means = TABLE.quality.mean(axis=0)
    scores = router.scores([Query(text="what is 2 + 2?")])[0]
    np.testing.assert_allclose(scores, [0.45 + means[0] / 2, 0.05 + means[1] / 2, means[2]])
    assert "coder: writes programs" in judge.asked[0]
    assert "what is 2 + 2?" in judge.asked[0]
    assert "abacus 9.0" in router.explain(Query(text="x")).evidence[0]


@pytest.mark.parametrize(
    "said", ["", "I do not know", "{}", '{"abacus": "very"}', ProviderUnavailable("down")]
)
def test_a_model_that_says_nothing_usable_leaves_the_means(said: str | Exception) -> None:
    router = LLM(model=Judge(said)).fit(TABLE)
    np.testing.assert_allclose(router.scores([Query(text="x")])[0], TABLE.quality.mean(axis=0))
    assert "no usable word" in router.explain(Query(text="x")).evidence[0]


def test_a_model_that_hangs_is_not_waited_for() -> None:
    class Slow(Judge):
        async def answer(self, query: Query, options: Options) -> Answer:
            import asyncio

            await asyncio.sleep(60)
            raise AssertionError("unreachable")

    router = LLM(model=Slow(""), timeout_s=0.05).fit(TABLE)
    np.testing.assert_allclose(router.scores([Query(text="x")])[0], TABLE.quality.mean(axis=0))


def test_no_model_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="no model"):
        LLM().fit(TABLE).scores([Query(text="x")])


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
def test_any_reply_can_be_read(reply: str, arms: list[str]) -> None:
    said = parse(reply, arms)
    assert said.shape == (len(arms),)
    assert (np.isnan(said) | ((said >= 0) & (said <= 1))).all()
