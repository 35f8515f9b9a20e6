"""Asking, journal, budget, judge: nothing lost by a kill, nothing spent beyond the limit."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import CHEAP, DEAR, FakeModel
from suffice import Outcomes, Preferences
from suffice.catalogue import cost_ceiling_usd
from suffice.datasets import asking, scoring
from suffice.datasets.asking import Asker, Unanswered
from suffice.datasets.budget import Budget
from suffice.datasets.items import Item
from suffice.datasets.journal import Answered, Journal, forget
from suffice.datasets.judging import pair_query, preference, rating, verdict
from suffice.datasets.labelling import Labelled, Wish, label
from suffice.errors import (
    ConfigError,
    DataError,
    ProviderAuthError,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
)
from suffice.types import Answer, Options, Price, Query, Usage

UNPRICED = Price()


def items(n: int, metric: str = "number") -> list[Item]:
    return [
        Item(query_id=f"q{i}", query=f"What is {i} + 1?", task="sums", metric=metric, reference=str(i + 1))
        for i in range(n)
    ]


class Adder(FakeModel):
    """Adds up, in `delay_s`; is wrong on every query whose number `wrong` divides."""

    def __init__(self, name: str, *, wrong: int = 0, delay_s: float = 0.0, **fields: Any) -> None:
        super().__init__(name, **fields)
        self._wrong, self._delay_s = wrong, delay_s
        self.asked: list[str] = []

    async def answer(self, query: Query, options: Options) -> Answer:
        self.asked.append(query.text)
        self.options.append(options)
        await asyncio.sleep(self._delay_s)
        number = int(query.text.split()[2])
        said = str(number + 1 + bool(self._wrong and number % self._wrong == 0))
        usage = Usage(prompt_tokens=len(query.text) // 4, completion_tokens=1)
        cost = self.candidate.price.cost_usd(usage)
        return Answer(content=said, candidate=self.candidate.name, usage=usage, cost_usd=cost)


def run(
    path: Path,
    models: Sequence[FakeModel],
    queries: Sequence[Item],
    *,
    limit: str | None = None,
    wish: Wish = Wish(),  # noqa: B008  frozen
    judge: FakeModel | None = None,
    retries: int = 0,
) -> tuple[Labelled, Decimal]:
    async def main() -> tuple[Labelled, Decimal]:
        with Journal(path) as journal:
            budget = Budget(None if limit is None else Decimal(limit), journal.spent_usd)
            asker = Asker(journal, budget, retries=retries, backoff_s=0.001)
            panel = {model.candidate.name: model for model in models}
            found = await label(queries, panel, asker, wish, judge=judge)
            assert budget.reserved_usd == 0
            assert budget.spent_usd == journal.spent_usd
            return found, journal.spent_usd

    return asyncio.run(main())


# --- labels


def test_labels_to_a_file_and_back(tmp_path: Path) -> None:
    models = [Adder("right"), Adder("odd", wrong=2, price=DEAR)]
    found, spent = run(tmp_path / "j", models, items(6))
    scored = scoring.score(found)
    scoring.write_outcomes(scored, tmp_path / "out.parquet")
    outcomes = Outcomes.read(tmp_path / "out.parquet", responses=True)
    assert outcomes.arms == ("right", "odd")
    assert outcomes.quality.tolist() == [[1, 0], [1, 1]] * 3
    assert outcomes.references == tuple(str(i + 1) for i in range(6))
    assert outcomes.cost_usd.sum() == pytest.approx(float(spent))
    right, odd = scoring.summarise(scored)
    assert (right.quality, right.n, right.n_failed, right.n_not_asked) == (1.0, 6, 0, 0)
    assert odd.quality == 0.5
    assert odd.quality_error == pytest.approx(np.std([0, 1] * 3, ddof=1) / 6**0.5)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_failure_is_unknown_and_not_zero(tmp_path: Path) -> None:
    bad = FakeModel("bad", ProviderRejected("no"), "2")
    found, _ = run(tmp_path / "j", [bad], items(2), wish=Wish(concurrency=1))
    scored = scoring.score(found)
    assert [one.score for one in scored] == [None, 1.0]
    scoring.write_outcomes(scored, tmp_path / "out.csv")
    outcomes = Outcomes.read(tmp_path / "out.csv")
    assert np.isnan(outcomes.quality[0, 0])
    (summary,) = scoring.summarise(scored)
    assert (summary.n, summary.n_scored, summary.n_failed, summary.quality) == (2, 1, 1, 1.0)


def test_samples_have_seeds_and_a_temperature(tmp_path: Path) -> None:
    model = Adder("m")
    found, _ = run(tmp_path / "j", [model], items(2), wish=Wish(samples=3, max_tokens=9))
    assert len(found.readings) == 6
    fields = [dict(options.fields) for options in model.options]
    assert sorted(one["seed"] for one in fields) == [0, 0, 1, 1, 2, 2]
    assert all(one["temperature"] == 0.8 and one["max_tokens"] == 9 for one in fields)
    scoring.write_outcomes(scoring.score(found), tmp_path / "out.jsonl")
    assert Outcomes.read(tmp_path / "out.jsonl", aggregate="mean").quality.tolist() == [[1], [1]]
    assert Wish(fields={"temperature": None, "top_p": 0.5}).fields_of(0) == {"max_tokens": 1024, "top_p": 0.5}


def test_retries(tmp_path: Path) -> None:
    model = FakeModel("m", ProviderTimeout("slow"), ProviderRateLimited("wait", retry_after_s=0.001), "1")
    found, spent = run(tmp_path / "j", [model], items(1), retries=2, limit="1")
    assert isinstance(found.readings[0].reply, Answered)
    assert model.n_calls == 3
    ceiling = cost_ceiling_usd(
        model.candidate, len(json.dumps([{"role": "user", "content": "What is 0 + 1?"}])), 1024
    )
    assert spent > ceiling * Decimal("0.9")  # the timeout may have been billed; the refusal was not


def test_a_wrong_key_is_tried_once(tmp_path: Path) -> None:
    model = FakeModel("m", ProviderAuthError("bad key"))
    found, _ = run(tmp_path / "j", [model], items(20), wish=Wish(concurrency=1), retries=3)
    assert model.n_calls == 1
    assert all(isinstance(one.reply, Unanswered) for one in found.readings)
    assert "ProviderAuthError" in found.readings[-1].reply.reason  # type: ignore[union-attr]


# --- the journal


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    first, second = Adder("m"), Adder("m")
    run(tmp_path / "j", [first], items(4))
    found, _ = run(tmp_path / "j", [second], items(6))
    assert len(first.asked) == 4
    assert sorted(second.asked) == ["What is 4 + 1?", "What is 5 + 1?"]
    assert len(found.readings) == 6


def test_another_prompt_or_option_is_another_call(tmp_path: Path) -> None:
    run(tmp_path / "j", [Adder("m")], items(2))
    again = Adder("m")
    run(tmp_path / "j", [again], items(2), wish=Wish(max_tokens=7))
    assert len(again.asked) == 2


def test_failures_are_tried_again_by_the_next_run(tmp_path: Path) -> None:
    run(tmp_path / "j", [FakeModel("m", ProviderRejected("no"))], items(3))
    found, _ = run(tmp_path / "j", [Adder("m")], items(3))
    assert all(isinstance(one.reply, Answered) for one in found.readings)


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    run(path, [Adder("m")], items(3), wish=Wish(concurrency=1))
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1, 7):
        path.write_bytes(whole[:-cut])
        again = Adder("m")
        found, _ = run(path, [again], items(3))
        assert len(again.asked) == 1
        assert all(isinstance(one.reply, Answered) for one in found.readings)


def test_a_damaged_line_elsewhere_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "j"
    run(path, [Adder("m")], items(2))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"broken\n", *lines[1:]]))
    with pytest.raises(DataError, match="row 2: no line of a journal"):
        Journal(path)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(DataError, match="is in use"):
        Journal(tmp_path / "j")
    with Journal(tmp_path / "j"):
        pass


def test_a_call_without_an_end_counts_as_the_answered_ones_cost(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.asked("a", Decimal("0.3"))
        journal.asked("b", Decimal("0.2"))
        journal.answered("b", Answered(content="x"), Decimal("0.01"))
    with Journal(tmp_path / "j") as journal:
        assert journal.spent_usd == Decimal("0.025")  # a twentieth of its ceiling, as of b's
        assert (journal.unknown_usd, journal.n_unknown) == (Decimal("0.015"), 1)
        journal.asked("a", Decimal("0.3"))
        assert journal.spent_usd == Decimal("0.325")  # under way: its ceiling
        journal.failed("a", "no", Decimal(0))
        assert journal.spent_usd == Decimal("0.025")  # the first try of it may still be billed
    with Journal(tmp_path / "k") as journal:
        journal.asked("a", Decimal("0.3"))
    with Journal(tmp_path / "k") as journal:
        assert journal.spent_usd == Decimal("0.3")  # nothing is known


def test_a_person_is_forgotten_and_the_money_is_not(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for number, about in enumerate([("anna",), ("bob",), (), None, ("anna", "bob")]):
            journal.asked(str(number), Decimal("0.3"))
            journal.answered(str(number), Answered(content=f"said {number}"), Decimal("0.01"), about)
        journal.asked("5", Decimal("0.3"))
        journal.failed("5", "no", Decimal("0.3"), ("anna",))
    assert forget(tmp_path / "j", "anna") and not forget(tmp_path / "j", "anna")
    with Journal(tmp_path / "j") as journal:
        assert journal.answers.keys() == {"1", "2"}  # of 3 nobody has said
        assert journal.spent_usd == Decimal("0.35")
    assert "anna" not in (tmp_path / "j").read_text()


def test_a_stopped_run_waits_for_calls_under_way(tmp_path: Path) -> None:
    model = Adder("m", delay_s=0.1)

    async def stopped() -> None:
        with Journal(tmp_path / "j") as journal:
            budget = Budget(Decimal(1))
            asker = Asker(journal, budget)
            try:
                await asyncio.wait_for(label(items(9), {"m": model}, asker, Wish(concurrency=3)), 0.05)
            finally:
                assert len(journal.answers) == 3 and budget.spent_usd == journal.spent_usd

    with pytest.raises(TimeoutError):
        asyncio.run(stopped())
    assert len(model.asked) == 3
    with Journal(tmp_path / "j") as journal:
        assert journal.n_unknown == 0


def test_a_stopped_run_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_GRACE_S", 0.02)
    model = Adder("m", delay_s=60)

    async def stopped() -> None:
        with Journal(tmp_path / "j") as journal:
            asker = Asker(journal, Budget(Decimal(1)))
            await asyncio.wait_for(label(items(9), {"m": model}, asker, Wish(concurrency=3)), 0.02)

    with pytest.raises(TimeoutError):
        asyncio.run(stopped())
    with Journal(tmp_path / "j") as journal:
        assert journal.n_unknown == 3


def test_the_same_refusal_again_and_again_ends_it(tmp_path: Path) -> None:
    model = FakeModel("m", *[ProviderRejected("no such model")] * 20)
    found, _ = run(tmp_path / "j", [model], items(20), wish=Wish(concurrency=1))
    assert model.n_calls == 5 and sum(one.reply.was_asked for one in found.readings) == 5  # type: ignore[union-attr]
    mixed: list[str | ProviderError] = [ProviderRejected("no such model"), "1"]
    some = FakeModel("m", *mixed * 10)
    run(tmp_path / "k", [some], items(20), wish=Wish(concurrency=1))
    assert some.n_calls == 20  # a refusal now and then is one of a query


def test_a_cancelled_run_keeps_what_was_answered(tmp_path: Path) -> None:
    model = Adder("m", delay_s=0.02)

    async def stopped() -> None:
        with Journal(tmp_path / "j") as journal:
            asker = Asker(journal, Budget(Decimal(1)))
            await asyncio.wait_for(label(items(50), {"m": model}, asker, Wish(concurrency=2)), 0.1)

    with pytest.raises(TimeoutError):
        asyncio.run(stopped())
    n_before = len(model.asked)
    assert 2 < n_before < 50
    again = Adder("m")
    run(tmp_path / "j", [again], items(50), limit="1")
    assert len(again.asked) <= 50 - n_before + 2


# --- the budget


class Spender(Adder):
    """Costs what a seeded draw says, up to the ceiling, in disorder; fails now and then."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name)
        self._random = random.Random(seed)
        self.billed = Decimal(0)

    async def answer(self, query: Query, options: Options) -> Answer:
        message = [{"role": "user", "content": query.text}]
        ceiling = cost_ceiling_usd(self.candidate, len(json.dumps(message)), options.max_tokens)
        await asyncio.sleep(self._random.random() * 0.002)
        cost = ceiling * Decimal(str(round(self._random.random(), 3)))
        self.billed += cost
        draw = self._random.random()
        if draw < 0.2:
            raise ProviderTimeout("gone, but billed")
        known = cost if draw < 0.9 else None
        return Answer(content="1", candidate=self.candidate.name, cost_usd=known)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    limit=st.decimals("0", "0.02", places=5),
    concurrency=st.integers(1, 30),
    n=st.integers(1, 40),
)
def test_the_budget_holds_whatever_runs_at_once(seed: int, limit: Decimal, concurrency: int, n: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        models = [Spender("one", seed), Spender("two", seed + 1)]
        for _ in range(2):  # the second run goes on with what is left
            found, spent = run(
                Path(folder) / "j",
                models,
                items(n),
                limit=str(limit),
                wish=Wish(concurrency=concurrency),
                retries=1,
            )
            assert spent <= limit
            assert sum(model.billed for model in models) <= spent
    reasons = {one.reply.reason for one in found.readings if isinstance(one.reply, Unanswered)}
    assert all("Timeout" in reason or reason == asking.OVER_BUDGET for reason in reasons)


def test_a_budget_is_used_up(tmp_path: Path) -> None:
    model = Adder("m")
    ceiling = cost_ceiling_usd(model.candidate, 100, 1024)
    found, spent = run(tmp_path / "j", [model], items(100), limit=str(ceiling * 3), wish=Wish(concurrency=10))
    answered = [one for one in found.readings if isinstance(one.reply, Answered)]
    assert len(answered) == 100  # answers are far cheaper than their ceilings, which are given back
    assert spent < ceiling


def test_no_budget_for_even_one(tmp_path: Path) -> None:
    model = Adder("m")
    found, spent = run(tmp_path / "j", [model], items(3), limit="0.0000001")
    assert model.asked == []
    assert spent == 0
    (summary,) = scoring.summarise(scoring.score(found))
    assert (summary.n_not_asked, summary.n_failed, summary.quality, summary.cost_usd) == (3, 0, None, 0.0)


def test_an_unknown_price_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    model, other = Adder("m", price=UNPRICED), Adder("other")
    with pytest.raises(ConfigError, match=r"no price is known for 'm'.*lift the limit with --no-budget"):
        run(tmp_path / "j", [other, model], items(2), limit="1")
    assert other.asked == []
    found, _ = run(tmp_path / "j", [model], items(2))
    assert isinstance(found.readings[0].reply, Answered)
    assert scoring.summarise(scoring.score(found))[0].cost_usd is None


# --- the judge


class Judge(FakeModel):
    """Prefers the answer with the larger number; `bias` makes it name the first whatever it says."""

    def __init__(self, *, bias: bool = False) -> None:
        super().__init__("judge", price=CHEAP)
        self._bias = bias
        self.asked: list[str] = []

    async def answer(self, query: Query, options: Options) -> Answer:
        self.asked.append(query.text)
        if "[Answer A]" not in query.text:
            return Answer(content="Fine. Rating: [[7]]", candidate="judge", cost_usd=Decimal("1e-6"))
        first, second = (float(query.text.split(f"[Answer {letter}]\n")[1].split("\n")[0]) for letter in "AB")
        said = "[[A]]" if self._bias or first > second else "[[B]]"
        return Answer(content=f"Because. {said}", candidate="judge", cost_usd=Decimal("1e-6"))


def test_preferences_from_a_judge(tmp_path: Path) -> None:
    models = [Adder("right"), Adder("odd", wrong=2)]
    judge = Judge()
    found, _ = run(tmp_path / "j", models, items(4), judge=judge)
    assert len(judge.asked) == 4  # equal answers are a tie without asking
    assert scoring.write_preferences(found.verdicts, "judge", tmp_path / "p.csv") == 4
    read = Preferences.read(tmp_path / "p.csv")
    assert read.pref_b.tolist() == [1.0, 0.5, 1.0, 0.5]
    assert (read.model_a[0], read.model_b[0], read.judge[0]) == ("right", "odd", "judge")
    again = Judge()
    run(tmp_path / "j", models, items(4), judge=again)
    assert again.asked == []


def test_a_judge_that_prefers_a_place_says_nothing(tmp_path: Path) -> None:
    models = [Adder("right"), Adder("odd", wrong=1)]
    found, _ = run(tmp_path / "j", models, items(3), judge=Judge(bias=True))
    assert [one.pref_b for one in found.verdicts] == [0.5] * 3


def test_ratings_are_the_scores_of_open_answers(tmp_path: Path) -> None:
    found, _ = run(tmp_path / "j", [Adder("m")], items(2, metric="judge"), judge=Judge())
    assert [one.score for one in scoring.score(found)] == [pytest.approx(6 / 9)] * 2
    unjudged, _ = run(tmp_path / "j2", [Adder("m")], items(2, metric="judge"))
    assert [one.score for one in scoring.score(unjudged)] == [None, None]


def test_what_judges_say() -> None:
    assert [verdict(said) for said in ("[[A]] no, [[ b ]]", "[[tie]]", "A", "[[D]]")] == [
        "B",
        "C",
        None,
        None,
    ]
    assert preference("[[A]]", "nothing") is None
    assert (preference("[[A]]", "[[B]]"), preference("[[B]]", "[[A]]")) == (0.0, 1.0)
    assert [rating(said) for said in ("[[0]]", "[[5.5]]", "[[10/10]]", "7")] == [
        None,
        pytest.approx(4 / 9),
        1.0,
        None,
    ]
    asked = pair_query("Q?", "", "two", "gold").text
    assert "(empty)" in asked and "gold" in asked and "follow no instruction" in asked


def test_a_score_outside_its_range_is_an_error(tmp_path: Path) -> None:
    plugin = tmp_path / "odd.py"
    plugin.write_text("class Odd:\n    def score(self, said, reference):\n        return 7\n")
    found, _ = run(tmp_path / "j", [Adder("m")], items(1, metric=f"{plugin}:Odd"))
    with pytest.raises(DataError, match=r"gave 7\.0, outside"):
        scoring.score(found)
    found, _ = run(tmp_path / "j", [Adder("m")], items(1, metric="choice"))
    with pytest.raises(DataError, match="query 'q0', metric 'choice': the reference '1' is no letter"):
        scoring.score(found)
