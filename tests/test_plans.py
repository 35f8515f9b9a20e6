"""Plans that ask more than once: who is asked, what is given, what it cost, and what a client sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import CHEAP, DEAR
from suffice import plans
from suffice.cascades import Move, Seen
from suffice.cascades.automix import verdict
from suffice.errors import (
    AllAttemptsFailed,
    ConfigError,
    InvalidRequest,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
)
from suffice.plans.aggregation import trimmed, with_proposals
from suffice.plans.base import Event, Note, PlanContext
from suffice.plans.best_of import BestOf
from suffice.plans.cascade import CascadePlan
from suffice.plans.mixture import Mixture
from suffice.plans.probes.verification import Verification, split
from suffice.plans.structured import problem
from suffice.types import (
    Answer,
    Attempt,
    Candidate,
    Chunk,
    Constraints,
    Decision,
    FloatArray,
    Options,
    Price,
    Query,
    TokenLogprob,
    Usage,
)


class Talker:
    """Says what its function returns for a query; slow, broken, sure or cut as told."""

    def __init__(
        self,
        name: str,
        says: Any = None,
        *,
        price: Price = CHEAP,
        delay_s: Any = 0.0,
        logprob: Any = -0.1,
        cut_after: int | None = None,
        **candidate: Any,
    ) -> None:
        self.candidate = Candidate(name=name, provider="fake", model=name, price=price, **candidate)
        self._says = (
            says if callable(says) else lambda query, options: f"{name} says" if says is None else says
        )
        self._delay_s, self._logprob, self._cut_after = delay_s, logprob, cut_after
        self.asked: list[tuple[Query, Options]] = []
        self.n_running = 0
        self.n_cancelled = 0

    async def _text(self, query: Query, options: Options) -> str:
        self.asked.append((query, options))
        self.n_running += 1
        try:
            delay = self._delay_s(len(self.asked)) if callable(self._delay_s) else self._delay_s
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        finally:
            self.n_running -= 1
        said = self._says(query, options)
        if isinstance(said, list):
            said = said[min(len(self.asked), len(said)) - 1]
        if isinstance(said, Exception):
            raise said
        return str(said)

    def _usage(self, query: Query, text: str) -> Usage:
        return Usage(prompt_tokens=len(query.text.split()), completion_tokens=len(text.split()))

    async def answer(self, query: Query, options: Options) -> Answer:
        text = await self._text(query, options)
        usage = self._usage(query, text)
        sure = self._logprob(options) if callable(self._logprob) else self._logprob
        tokens = tuple(TokenLogprob(sign, sure) for sign in text)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = {"id": "x", "choices": [choice], "model": self.candidate.model, "usage": _shown(usage)}
        return Answer(
            content=text,
            candidate=self.candidate.name,
            usage=usage,
            cost_usd=self.candidate.price.cost_usd(usage),
            finish_reason="stop",
            logprobs=tokens if options.wants_logprobs else None,
            body=msgspec.json.encode(body),
        )

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        text = await self._text(query, options)
        for place, word in enumerate(text.split()):
            if place == self._cut_after:
                raise ProviderError("the stream was cut", candidate=self.candidate.name)
            said = (TokenLogprob(word, self._logprob),) if options.wants_logprobs else None
            data = {
                "model": self.candidate.model,
                "choices": [{"index": 0, "delta": {"content": f"{word} "}}],
            }
            yield Chunk(data=msgspec.json.encode(data), text=f"{word} ", has_content=True, logprobs=said)
        usage = self._usage(query, text)
        last = {"choices": [], "usage": _shown(usage)}
        shown = msgspec.json.encode(last) if options.wants_stream_usage else b""
        yield Chunk(data=shown, usage=usage, finish_reason="stop")

    async def close(self) -> None:
        return None


def _shown(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


class Rule:
    """In a row: believed from a threshold on."""

    name = "rule"

    def __init__(self, *arms: str, signal: str = "normalised_probability", threshold: float = 0.5) -> None:
        self.arms, self.signals, self._threshold = arms, (signal,), threshold

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        assert scores.shape == costs_usd.shape == (len(self.arms),)
        if seen:
            reading = seen[-1].readings[self.signals[0]]
            if len(seen) == len(self.arms) or (reading is not None and reading >= self._threshold):
                return Move(ask=None, accept=len(seen) - 1, reason=f"accepted answer {len(seen)}")
        return Move(ask=len(seen), accept=None, reason="on")

    def save(self, directory: Path) -> None:
        raise AssertionError

    @classmethod
    def load(cls, directory: Path) -> Rule:
        raise AssertionError


def cascade(*arms: str, signal: str = "normalised_probability", **params: Any) -> CascadePlan:
    return CascadePlan("", **params).use(Rule(*arms, signal=signal))


class Outcome:
    """What a plan did."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.attempts = [event for event in events if isinstance(event, Attempt)]
        self.answer = next((event for event in events if isinstance(event, Answer)), None)
        self.chunks = [event for event in events if isinstance(event, Chunk)]
        self.notes = "; ".join(event.text for event in events if isinstance(event, Note) and event.text)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def given(self) -> Answer:
        assert self.answer is not None
        return self.answer

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(attempt.candidate, attempt.role) for attempt in self.attempts]


def context_of(
    models: Sequence[Talker],
    *,
    ranking: Sequence[str] | None = None,
    options: Options | None = None,
    costs: Sequence[float] | None = None,
    **fields: Any,
) -> PlanContext:
    names = tuple(model.candidate.name for model in models)
    ranked = tuple(names if ranking is None else ranking)
    decision = Decision(
        plan="",
        candidate=ranked[0],
        ranking=ranked,
        arms=names,
        costs_usd=tuple(costs or [0.001] * len(names)),
        scores=(0.5,) * len(names),
        latencies_s=(1.0,) * len(names),
    )
    made: dict[str, Any] = {model.candidate.name: model for model in models}
    return PlanContext(
        models=made,
        ranking=ranked,
        options=options or Options(),
        decision=decision,
        **{"retries": 0, **fields},
    )


def do(plan: Any, models: Sequence[Talker], query: Query | None = None, **fields: Any) -> Outcome:
    async def main() -> list[Event]:
        return [
            event
            async for event in plan.run(query or Query(text="how are you"), context_of(models, **fields))
        ]

    return Outcome(asyncio.run(main()))


def usd(*attempts: Attempt) -> Decimal:
    return sum((attempt.cost_usd or Decimal(0) for attempt in attempts), Decimal(0))


# --- cascade


def test_a_sure_answer_ends_the_cascade() -> None:
    small, large = Talker("small", logprob=-0.1), Talker("large", price=DEAR)
    done = do(cascade("small", "large"), [small, large])
    assert (done.given.content, done.asked) == ("small says", [("small", "")])
    assert not large.asked
    assert "accepted answer 1" in done.notes


def test_an_unsure_one_is_followed_by_the_next_and_both_are_paid() -> None:
    small, large = Talker("small", logprob=-2.0), Talker("large", price=DEAR)
    done = do(cascade("small", "large"), [small, large])
    assert (done.given.candidate, done.asked) == ("large", [("small", ""), ("large", "")])
    assert done.given.cost_usd == usd(*done.attempts) > 0
    assert done.given.usage == Usage(prompt_tokens=6, completion_tokens=4)
    assert json.loads(done.given.body or b"")["usage"]["total_tokens"] == 10


def test_what_the_client_did_not_ask_for_is_not_in_the_body() -> None:
    done = do(cascade("small"), [Talker("small")])
    assert b'"logprobs":{' not in (done.given.body or b"")


def test_a_stream_is_held_back_until_it_is_accepted() -> None:
    small, large = Talker("small", logprob=-2.0), Talker("large")
    wish = Options(fields={"stream_options": {"include_usage": True}})
    done = do(cascade("small", "large"), [small, large], is_stream=True, options=wish)
    assert done.text == "large says "
    kinds = [type(event) for event in done.events]
    assert kinds.index(Answer) < kinds.index(Chunk), "the answer is known before its first chunk"
    assert json.loads(done.chunks[-1].data)["usage"] == {
        "prompt_tokens": 6,
        "completion_tokens": 4,
        "total_tokens": 10,
    }
    assert done.given.first_token_s is not None


def test_a_stream_that_breaks_is_nobodys_answer() -> None:
    small, large = Talker("small", cut_after=1), Talker("large")
    done = do(cascade("small", "large"), [small, large], is_stream=True)
    assert (done.text, done.given.candidate) == ("large says ", "large")


@pytest.mark.parametrize(
    "said", ["", " \n ", "I'm sorry, but I can\u2019t help with that.", ProviderUnavailable("down")]
)
def test_nothing_refused_or_broken_is_accepted_while_others_are_there(said: Any) -> None:
    done = do(cascade("small", "large"), [Talker("small", said), Talker("large")])
    assert done.given.candidate == "large"


def test_json_of_the_wrong_shape_is_not_accepted() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wish = Options(fields={"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
    done = do(
        cascade("small", "large"), [Talker("small", '{"n": "3"}'), Talker("large", '{"n": 3}')], options=wish
    )
    assert done.given.content == '{"n": 3}'
    assert "$.n is no integer" in done.notes


def test_who_fails_is_replaced_by_the_next_in_the_ranking() -> None:
    small, large = Talker("small", logprob=-2.0), Talker("large", ProviderUnavailable("down"))
    done = do(
        cascade("small", "large"), [small, large, Talker("medium")], ranking=["large", "small", "medium"]
    )
    assert done.asked == [("small", ""), ("large", ""), ("medium", "")]
    assert done.given.candidate == "medium"


def test_an_earlier_answer_stands_where_nobody_else_gives_one() -> None:
    small, large = Talker("small", logprob=-2.0), Talker("large", ProviderUnavailable("down"))
    done = do(cascade("small", "large"), [small, large])
    assert done.given.candidate == "small"
    assert "large: failed (ProviderUnavailable)" in done.notes


def test_an_empty_answer_is_given_where_nobody_has_another() -> None:
    done = do(cascade("small"), [Talker("small", "")])
    assert done.given.content == ""
    with pytest.raises(AllAttemptsFailed):
        do(cascade("small"), [Talker("small", ProviderUnavailable("down"))])


def test_two_refusals_are_the_requests_fault() -> None:
    models = [Talker(name, ProviderRejected("bad", upstream_status=400)) for name in "abcd"]
    with pytest.raises(AllAttemptsFailed):
        do(cascade("a", "b"), models)
    assert [len(model.asked) for model in models] == [1, 1, 0, 0]


def test_a_limit_with_room_for_the_first_alone_gives_it_and_verifies_nothing() -> None:
    small, large = Talker("small", "no idea"), Talker("large")
    query = Query(text="q", constraints=Constraints(max_cost_usd=Decimal("0.001")))
    done = do(cascade("small", "large", signal="verification"), [small, large], query, costs=[0.001, 0.001])
    assert (done.given.candidate, done.asked) == ("small", [("small", "")])


def test_verification_asks_k_times_and_is_paid() -> None:
    def says(query: Query, options: Options) -> str:
        seeds = {1, 2, 3}
        if "Check:" not in query.text:
            return "42"
        return "Hm. Decision: " + ("Correct" if options.fields["seed"] in seeds else "Incorrect")

    def run(k: int) -> Outcome:
        plan = cascade("small", "large", signal="verification", verification={"k": k})
        return do(plan, [Talker("small", says), Talker("large", price=DEAR)])

    sure, unsure = run(4), run(8)
    assert sure.given.candidate == "small"
    assert sure.asked == [("small", "")] + [("small", "verify")] * 4
    assert unsure.given.candidate == "large", "3 of 8 say Correct"
    assert unsure.given.cost_usd == usd(*unsure.attempts)


@pytest.mark.parametrize("nonsense", ["Perhaps.", "", ProviderUnavailable("down")])
def test_a_verifier_that_says_nothing_leads_on(nonsense: Any) -> None:
    small = Talker("small", lambda query, options: nonsense if "Check:" in query.text else "42")
    done = do(cascade("small", "large", signal="verification"), [small, Talker("large")])
    assert done.given.candidate == "large"


def test_logprobs_that_are_missing_lead_on() -> None:
    small = Talker("small", capabilities=frozenset({"streaming"}))
    done = do(cascade("small", "large"), [small, Talker("large")])
    assert done.given.candidate == "large"


def test_samples_are_compared() -> None:
    agreeing = Talker("small", "4")
    disagreeing = Talker("small", lambda query, options: str(options.fields.get("seed", 0)))
    for small, wanted in ((agreeing, "small"), (disagreeing, "large")):
        plan = cascade("small", "large", signal="self_consistency", n_samples=4)
        done = do(plan, [small, Talker("large")])
        assert done.given.candidate == wanted
        assert done.asked.count(("small", "verify")) == 4


def test_a_signal_that_cannot_be_read_live_is_an_error() -> None:
    with pytest.raises(ConfigError, match="ensemble_vote"):
        cascade("small", signal="ensemble_vote")
    with pytest.raises(ConfigError, match="verification"):
        cascade("small", verification={"j": 3})


def test_prompts_are_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "free.txt").write_text("Q {question} A {answer} {braces}?")
    plan = CascadePlan("", verification={"free": "free.txt"}).use(
        Rule("small", "large", signal="verification"), tmp_path.joinpath
    )
    small = Talker("small")
    do(plan, [small, Talker("large")])
    assert small.asked[1][0].text == "Q how are you A small says {braces}?"
    (tmp_path / "free.txt").write_text("Q {question}")
    with pytest.raises(ConfigError, match="answer"):
        CascadePlan("", verification={"free": "free.txt"}).use(Rule("small"), tmp_path.joinpath)


def test_contexts_are_told_from_questions() -> None:
    passage = "The ferry runs daily. " * 10
    assert split(f"{passage}\n\nWhen does it run?") == (passage.strip(), "When does it run?")
    assert split("Hello.\n\nWhen?") == (None, "Hello.\n\nWhen?")
    prompt = Verification().prompt(f"{passage}\n\nWhen?", "daily {answer}")
    assert prompt.count("The ferry runs daily.") == 10
    assert prompt.endswith("Question: When?\nProposed answer: daily {answer}\nCheck:")
    assert [verdict(text) for text in ("Correct", "Decision: Incorrect, not Correct", "?")] == [
        True,
        False,
        None,
    ]


# --- best of n


def test_the_majority_wins_and_the_rest_is_cancelled() -> None:
    said = {1: "4", 2: "4", 3: "5", 4: "4", 5: "6"}
    model = Talker(
        "small",
        lambda query, options: said[options.fields["seed"]],
        delay_s=lambda nth: 0.0 if nth in (1, 2, 4) else 5.0,
    )
    start = perf_counter()
    done = do(BestOf(5), [model])
    assert perf_counter() - start < 1
    assert done.given.content == "4"
    assert model.n_cancelled == 2
    assert done.asked.count(("small", "cancelled")) == 2
    assert done.given.cost_usd == usd(*done.attempts), "what was cut is counted, by estimate"
    assert "3 of 3 agree" in done.notes


def test_a_vote_that_is_not_decided_goes_on() -> None:
    model = Talker("small", lambda query, options: {1: "a", 2: "b", 3: "b"}[options.fields["seed"]])
    done = do(BestOf(3), [model])
    assert (done.given.content, len(done.attempts)) == ("b", 3)
    assert [options.fields["temperature"] for _, options in model.asked] == [0.8] * 3


def test_numbers_are_compared_as_numbers() -> None:
    said = ["It is 4.0", "I get 5 = 5", "The answer is 4"]
    model = Talker("small", lambda query, options: said[options.fields["seed"] - 1])
    assert do(BestOf(3, answers="number"), [model]).given.content == "It is 4.0"


def test_the_surest_wins() -> None:
    model = Talker(
        "small",
        lambda query, options: f"answer {options.fields['seed']}",
        logprob=lambda options: -1.0 / options.fields["seed"],
    )
    done = do(BestOf(3, select="certainty"), [model])
    assert done.given.content == "answer 3"
    assert len(done.attempts) == 3
    blind = Talker("small", model._says, capabilities=frozenset({"tools"}))
    assert "no word of certainty" in do(BestOf(3, select="certainty"), [blind]).notes


def test_a_judge_picks() -> None:
    model = Talker("small", lambda query, options: f"answer {options.fields['seed']}")
    done = do(
        BestOf(3, select="judge", judge="large"), [model, Talker("large", "Answer 2 is best", price=DEAR)]
    )
    assert done.given.content == "answer 2"
    assert done.asked[-1] == ("large", "judge")
    assert done.given.cost_usd == usd(*done.attempts)
    confused = do(BestOf(3, select="judge", judge="large"), [model, Talker("large", "17?")])
    assert "no word of judge" in confused.notes


def test_a_stream_of_the_best() -> None:
    wish = Options(fields={"stream_options": {"include_usage": True}})
    done = do(BestOf(3, stop_early=False), [Talker("small", "yes indeed")], is_stream=True, options=wish)
    assert done.text == "yes indeed "
    assert json.loads(done.chunks[-1].data)["usage"]["completion_tokens"] == 6


def test_draws_that_fail_are_done_without() -> None:
    model = Talker(
        "small", lambda query, options: "b" if options.fields["seed"] == 3 else ProviderUnavailable("down")
    )
    assert do(BestOf(3), [model]).given.content == "b"
    down = Talker("small", ProviderUnavailable("down"))
    assert do(BestOf(3), [down, Talker("large")]).given.candidate == "large"
    with pytest.raises(AllAttemptsFailed):
        do(BestOf(3), [down])
    assert do(BestOf(3), [Talker("small", "")]).given.content == ""


def test_a_limit_bounds_the_draws() -> None:
    query = Query(text="q", constraints=Constraints(max_cost_usd=Decimal("0.0035")))
    assert len(do(BestOf(9), [Talker("small")], query).attempts) == 3
    query = Query(text="q", constraints=Constraints(max_cost_usd=Decimal("0.001")))
    assert do(BestOf(9), [Talker("small")], query).asked == [("small", "")]


@pytest.mark.parametrize("plan", [BestOf(2), Mixture(2), cascade("small")])
def test_several_answers_are_refused(plan: Any) -> None:
    with pytest.raises(InvalidRequest, match="`n`"):
        do(plan, [Talker("small")], options=Options(fields={"n": 2}))


# --- mixture


def panel(**says: Any) -> list[Talker]:
    return [Talker(name, says.get(name)) for name in ("a", "b", "c", "writer")]


def mixture(**params: Any) -> Mixture:
    return Mixture(proposers=["a", "b", "c"], aggregator="writer", **params)


def test_proposals_reach_the_aggregator() -> None:
    models = panel(writer="the synthesis")
    done = do(mixture(), models)
    assert done.given.content == "the synthesis"
    assert sorted(done.asked[:3]) == [("a", "propose"), ("b", "propose"), ("c", "propose")]
    assert done.asked[3] == ("writer", "aggregate")
    system, user = models[3].asked[0][0].messages
    assert [f"{place}. {name} says" in system["content"] for place, name in enumerate("abc", 1)] == [True] * 3
    assert user["content"] == "how are you"
    assert done.given.cost_usd == usd(*done.attempts)


def test_proposers_work_at_the_same_time_and_one_may_die() -> None:
    models = [Talker(name, delay_s=0.2) for name in "ab"]
    models += [Talker("c", ProviderUnavailable("killed"), delay_s=0.1), Talker("writer", delay_s=0.1)]
    start = perf_counter()
    done = do(mixture(), models)
    assert 0.3 <= perf_counter() - start < 0.45
    assert done.given.candidate == "writer"
    assert "proposer c: failed (ProviderUnavailable)" in done.notes
    assert 0.3 <= done.given.latency_s < 0.45, "parallel calls count as parallel"


def test_a_straggler_is_not_waited_for() -> None:
    models = [Talker("a"), Talker("b"), Talker("c", delay_s=9), Talker("writer")]
    models[2]._says = lambda query, options: "too late"
    start = perf_counter()

    class Timed(Talker):
        async def answer(self, query: Query, options: Options) -> Answer:
            from suffice.errors import ProviderTimeout

            try:
                async with asyncio.timeout(options.timeout_s):
                    return await super().answer(query, options)
            except TimeoutError as error:
                raise ProviderTimeout("slow") from error

    models[2] = Timed("c", delay_s=9)
    done = do(mixture(proposer_timeout_s=0.2), models)
    assert perf_counter() - start < 1
    assert done.given.candidate == "writer"


def test_the_aggregator_is_streamed_as_it_writes() -> None:
    models = panel(writer="one two three")
    wish = Options(fields={"stream_options": {"include_usage": True}})
    done = do(mixture(), models, is_stream=True, options=wish)
    assert done.text == "one two three "
    assert isinstance(done.events[-1], Answer)
    spoken = [event.candidate for event in done.events if isinstance(event, Note) and event.candidate]
    assert spoken == ["writer"]
    assert json.loads(done.chunks[-1].data)["usage"]["completion_tokens"] == 3 + 3 * 2
    assert done.given.usage.completion_tokens == 9


@pytest.mark.parametrize("is_stream", [False, True])
def test_without_an_aggregator_the_first_proposal_is_given(is_stream: bool) -> None:
    models = panel(writer=ProviderUnavailable("down"))
    ranking = ["a", "b", "c", "writer"]

    def says(query: Query, options: Options) -> Any:
        return ProviderUnavailable("busy") if len(query.messages) > 1 else "mine"

    for model in models[:3]:
        model._says = says
    done = do(mixture(), models, ranking=ranking, is_stream=is_stream)
    assert (done.given.content.strip(), done.given.candidate) == ("mine", "a")
    assert "the first proposal" in done.notes


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_empty_synthesis_leaves_the_first_proposal(is_stream: bool) -> None:
    done = do(mixture(), panel(writer=""), is_stream=is_stream)
    assert (done.given.content.strip(), done.given.candidate) == ("a says", "a")
    assert "aggregator: empty; the first proposal" in done.notes
    assert done.given.cost_usd == usd(*done.attempts)
    if is_stream:
        assert done.text.strip() == "a says"


def test_without_proposals_the_ranking_answers() -> None:
    models = [*(Talker(name, ProviderUnavailable("down")) for name in "abc"), Talker("writer")]
    done = do(mixture(), models)
    assert done.given.candidate == "writer"
    assert "nobody proposed" in done.notes
    with pytest.raises(AllAttemptsFailed):
        do(mixture(), [Talker(name, ProviderUnavailable("down")) for name in ("a", "b", "c", "writer")])


def test_layers_see_the_layer_before() -> None:
    models = panel()
    done = do(mixture(layers=2), models)
    assert len(done.attempts) == 7
    assert "1. a says" in models[1].asked[1][0].messages[0]["content"]


def test_self_moa_draws_one_model_several_times() -> None:
    models = [Talker("a", lambda query, options: f"draw {options.fields.get('seed')}"), Talker("writer")]
    done = do(Mixture(proposers=["a", "a", "a"], aggregator="writer"), models)
    assert done.asked[:3] == [("a", "propose")] * 3
    assert [options.fields["temperature"] for _, options in models[0].asked] == [0.7] * 3
    assert "draw 3" in models[1].asked[0][0].messages[0]["content"]


def test_a_sliding_window_reads_a_few_at_a_time() -> None:
    models = [Talker("a", lambda query, options: f"draw {options.fields.get('seed')}"), Talker("writer")]
    done = do(Mixture(proposers=["a"] * 5, aggregator="writer", window=3), models)
    assert done.asked.count(("writer", "aggregate")) == 2
    first, second = (query.messages[0]["content"] for query, _ in models[1].asked)
    assert "draw 3" in first
    assert "draw 4" not in first
    assert "writer says" in second
    assert "draw 5" in second


def test_the_number_of_proposers_may_follow_the_policy() -> None:
    done = do(Mixture(proposers=2), panel(), ranking=["c", "b", "a"])
    assert sorted(done.asked[:2]) == [("b", "propose"), ("c", "propose")]
    assert done.asked[2] == ("c", "aggregate")


def test_a_cost_cap_leaves_proposers_out() -> None:
    done = do(mixture(max_cost_usd=0.0031), panel(), costs=[0.001] * 4)
    assert [name for name, role in done.asked if role == "propose"] == ["a", "b"]
    assert done.asked[-1] == ("writer", "aggregate")


def test_too_long_proposals_are_cut_and_that_is_said() -> None:
    models = [Talker("a", "word " * 4000), Talker("b", "short"), Talker("writer", context_window=2000)]
    done = do(Mixture(proposers=["a", "b"], aggregator="writer"), models)
    assert "cut to" in done.notes
    assert "which writer can read" in done.notes
    sent = models[2].asked[0][0].messages[0]["content"]
    assert "2. short" in sent
    assert len(sent) < 2000 * 3
    texts, share = trimmed(["x"], Query(text="q"), models[0].candidate, Options())
    assert (texts, share) == (["x"], None)


def test_a_system_message_is_kept() -> None:
    query = Query.from_messages(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    )
    system, user = with_proposals(query, ["Hello."]).messages
    assert system["content"].startswith("Be brief.\n\n")
    assert user["content"] == "Hi"


def test_the_best_valid_json_is_kept() -> None:
    wish = Options(fields={"response_format": {"type": "json_object"}})
    models = panel(a="no json", b='{"ok": 1}', c='{"ok": 2}', writer="Here: {")
    for is_stream in (False, True):
        done = do(mixture(), models, options=wish, is_stream=is_stream)
        assert done.given.content.strip() == '{"ok": 1}'
    assert '1. {"ok": 1}' in models[3].asked[0][0].messages[0]["content"]


def test_a_vote_counts_fitting_json_alone() -> None:
    """Most draws agree on JSON of the wrong shape; of those that fit, most decide."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wish = Options(fields={"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
    said = ['{"n": "3"}', '{"n": "3"}', '{"n": "3"}', '{"n": 4}', '{"n": 4}', '{"n": 5}']
    draws = Talker("a", lambda query, options: said[options.fields["seed"] - 1])
    done = do(BestOf(6), [draws], options=wish)
    assert done.given.content == '{"n": 4}'
    assert done.notes.startswith("2 of "), "the wrong ones have no vote"


NODE = {"properties": {"a": {"$ref": "#/$defs/node"}}, "type": "object"}
TREE = {"$ref": "#/$defs/node", "$defs": {"node": NODE}}


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ({"a": 1}, {"type": "object", "required": ["a"]}, None),
        ({}, {"type": "object", "required": ["a"]}, "$.a is missing"),
        ({"a": 1, "b": 2}, {"properties": {"a": {}}, "additionalProperties": False}, "$.b is not wanted"),
        ([1, "x"], {"type": "array", "items": {"type": "number"}}, "$[1] is no number"),
        (True, {"type": "integer"}, "$ is no integer"),
        (3.0, {"type": "integer"}, None),
        ("x", {"enum": ["y"]}, "$ is none of the allowed values"),
        (None, {"type": ["string", "null"]}, None),
        ({"a": {"a": 3}}, TREE, "$.a.a is no object"),
        ("x", {"anyOf": [{"type": "integer"}, {"type": "string"}]}, None),
    ],
)  # fmt: skip
def test_json_is_checked_against_its_schema(value: Any, schema: Any, wrong: str | None) -> None:
    wish = Options(fields={"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
    assert problem(json.dumps(value), wish) == wrong
    assert problem(f"```json\n{json.dumps(value)}\n```", wish) == wrong


# --- all


PLANS = (
    cascade("a", "b", "c", "d"),
    cascade("a", "b", "c", "d", signal="verification"),
    cascade("a", "b", "c", "d", signal="self_consistency"),
    BestOf(3),
    BestOf(3, select="judge", judge="d"),
    BestOf(3, select="certainty"),
    Mixture(proposers=["a", "b", "c", "d"], aggregator="a", layers=2),
    Mixture(proposers=3, window=2),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_request_reaches_a_model_that_cannot_serve_it(data: st.DataObject) -> None:
    """Whoever fails, refuses or says nothing: only candidates of the decision's ranking are asked."""
    kinds: list[Any] = [
        "fine",
        "",
        "I cannot help with that.",
        ProviderUnavailable("down"),
        ProviderRejected("no"),
    ]
    models = [
        Talker(name, data.draw(st.sampled_from(kinds)), logprob=data.draw(st.sampled_from([-0.1, -3.0])))
        for name in "abcd"
    ]
    able = data.draw(st.sets(st.sampled_from("abcd"), min_size=1))
    ranking = data.draw(st.permutations(sorted(able)))
    query = Query(
        text="what is this", needs=frozenset(data.draw(st.sets(st.sampled_from(["vision", "tools"]))))
    )
    plan = data.draw(st.sampled_from(PLANS))
    try:
        done = do(plan, models, query, ranking=ranking, is_stream=data.draw(st.booleans()))
    except AllAttemptsFailed:
        pass
    else:
        assert done.given.candidate in able
        answered = [one for one in done.attempts if one.error is None]
        assert done.given.cost_usd == usd(*answered)
    assert {model.candidate.name for model in models if model.asked} <= able


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_leaving_cancels_every_call(plan: Any, is_stream: bool) -> None:
    models = [Talker(name, delay_s=30.0) for name in "abcd"]

    async def main() -> float:
        async def consume() -> None:
            async for _ in plan.run(Query(text="q"), context_of(models, is_stream=is_stream)):
                pass

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.05)
        assert sum(model.n_running for model in models) > 0
        start = perf_counter()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return perf_counter() - start

    assert asyncio.run(main()) < 1
    assert sum(model.n_running for model in models) == 0


def test_leaving_while_an_answer_is_verified_cancels_the_verdicts() -> None:
    small = Talker("small", delay_s=lambda nth: 0.0 if nth == 1 else 30.0)
    plan = cascade("small", "large", signal="verification")

    async def main() -> None:
        async def consume() -> None:
            async for _ in plan.run(Query(text="q"), context_of([small, Talker("large")])):
                pass

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.05)
        assert small.n_running == 8
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert (small.n_running, small.n_cancelled) == (0, 8)


def test_estimates_say_what_is_known() -> None:
    decision = context_of(panel(), costs=[0.001, 0.002, 0.003, 0.01]).decision
    assert decision is not None
    query = Query(text="q")
    assert BestOf(4).estimate(query, decision).cost_usd == pytest.approx(0.004)
    mixed = mixture().estimate(query, decision)
    assert mixed.cost_usd == pytest.approx(0.016)
    assert mixed.latency_s == 2.0
    assert np.isnan(cascade("a").estimate(query, decision).quality)


def test_plans_are_made_by_name() -> None:
    assert plans.available()[:4] == ("single", "cascade", "best_of", "mixture")
    assert isinstance(plans.create("best_of", n=3), BestOf)
    for name, params in (
        ("best_of", {"n": 1}),
        ("best_of", {"select": "coin"}),
        ("best_of", {"select": "judge"}),
        ("mixture", {"layers": 0}),
        ("mixture", {"colour": 1}),
        ("single", {"n": 1}),
        ("cascade", {}),
    ):
        with pytest.raises(ConfigError):
            plans.create(name, **params)
