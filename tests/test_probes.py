"""Ways of asking: what each probe sends, and what becomes of answers that are missing, empty or odd."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fakes import CHEAP
from suffice.confidence import Signal, Unavailable
from suffice.confidence import signals as listed
from suffice.datasets import panel
from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError, DataError, ProviderError, ProviderRejected, UnknownName
from suffice.outcomes import Runs
from suffice.plans import probes
from suffice.plans.probes import Effort, Evidence, Facts, Said
from suffice.plans.probes.answers import answer_key, labels_of
from suffice.plans.probes.gathering import waves
from suffice.plans.probes.paraphrases import read_wordings, reworded
from suffice.types import Answer, Candidate, Options, Query, TokenLogprob, Usage

QUESTION = "How many legs do two cats have?"
Reply = str | ProviderError


class Scripted:
    """A model whose replies follow from what it is asked."""

    def __init__(
        self,
        reply: Callable[[str, Options], Reply],
        *,
        name: str = "scripted",
        refuses_logprobs: bool = False,
    ) -> None:
        self.candidate = Candidate(name=name, provider="fake", model=name, price=CHEAP)
        self._reply, self._refuses = reply, refuses_logprobs
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.n_under_way = 0

    async def answer(self, query: Query, options: Options) -> Answer:
        text = str(query.chat()[-1]["content"])
        self.asked.append((text, dict(options.fields)))
        self.n_under_way += 1
        try:
            await asyncio.sleep(0)
            if self._refuses and options.wants_logprobs:
                raise ProviderRejected("no logprobs here", candidate=self.candidate.name)
            said = self._reply(text, options)
            if isinstance(said, ProviderError):
                raise said
            if said == "stall":
                await asyncio.sleep(60)
        finally:
            self.n_under_way -= 1
        usage = Usage(prompt_tokens=len(text.split()), completion_tokens=len(said.split()))
        return Answer(
            content=said,
            candidate=self.candidate.name,
            usage=usage,
            cost_usd=CHEAP.cost_usd(usage),
            logprobs=tokens(said) if options.wants_logprobs else None,
            no_logprobs=None if options.wants_logprobs else "not asked for",
        )

    def stream(self, query: Query, options: Options) -> Any:
        raise AssertionError("probes do not stream")

    async def close(self) -> None:
        """Nothing to close."""


def tokens(text: str) -> tuple[TokenLogprob, ...]:
    """One per word, of probability 0.8, with one alternative of 0.2; the empty text has one too."""
    words = text.split() or [""]
    return tuple(
        TokenLogprob(word, math.log(0.8), ((word, math.log(0.8)), ("False", math.log(0.2)))) for word in words
    )


def sensible(text: str, options: Options) -> Reply:
    """A model that follows every instruction."""
    if "Rewrite the question" in text:
        same = "Two cats: how many legs?"
        return f"1. {same}\n2. What is the number of legs of two cats?\n3. {same}"
    if "Why might this answer" in text:
        return "One cat might have lost a leg."
    if "how sure you are" in text:
        return "8"
    if "best guesses" in text:
        return "G1: 8\nP1: 70 %\nG2: 6\nP2: 20 %"
    if "True or False" in text:
        return "True"
    if "check your steps" in text:
        return "Step 1: correct\nStep 2: incorrect"
    if "step by step" in text:
        return "1. A cat has 4 legs.\n2. 2 * 4 = 8.\nAnswer: 8"
    if "both say the same" in text:
        return "Yes"
    seed = options.fields.get("seed")
    return "They have 8 legs." if seed in (None, 1, 2) else "7" if seed == 3 else "8"


def every_probe(*others: Scripted) -> list[probes.Probe]:
    return [
        probes.Greedy(),
        probes.Samples(4),
        probes.Paraphrases(3),
        probes.Verbalised(),
        probes.TopK(2),
        probes.PTrue(2),
        probes.ForcedReasoning(),
        probes.SameMeaning(),
        *([probes.OtherModels(others)] if others else []),
    ]


def gathered(model: Scripted, asked: list[probes.Probe], **start: Any) -> Evidence:
    begin = Evidence(query_id="q", question=QUESTION, **{"kind": "number", **start})
    return asyncio.run(probes.gather(model, Query(text=QUESTION), asked, begin))


def reading(name: str, evidence: Evidence, **kwargs: Any) -> Signal | Unavailable:
    return probes.read(name, Facts(evidence, **kwargs))


def confidence(name: str, evidence: Evidence, **kwargs: Any) -> float | None:
    return reading(name, evidence, **kwargs).confidence


def test_every_probe_of_a_sensible_model() -> None:
    model, other = Scripted(sensible), Scripted(lambda *_: "Eight, so 8", name="other")
    evidence = gathered(model, every_probe(other, Scripted(lambda *_: "9", name="third")))
    assert confidence("self_consistency", evidence) == 0.75
    assert confidence("p_true", evidence) == pytest.approx(0.8)
    assert confidence("p_true_text", evidence) == 1
    assert confidence("verbalised", evidence) == 0.8
    assert confidence("verbalised_top_k", evidence) == pytest.approx(0.7)
    assert confidence("forced_reasoning", evidence) == pytest.approx(2 / (1 + math.e))
    assert confidence("rephrasing", evidence) == 1
    assert confidence("ensemble_vote", evidence) == pytest.approx(2 / 3)
    assert confidence("normalised_probability", evidence) == pytest.approx(0.8)
    assert confidence("token_sar", evidence, embedder=HashedNgrams()) == pytest.approx(0.8)
    assert [said.asked for said in evidence.all("paraphrases")] == [
        "Two cats: how many legs?",
        "What is the number of legs of two cats?",
    ]
    assert evidence.missing == {"paraphrases": "2 of 3 wordings differ from the rest"}
    number = next(fields for text, fields in model.asked if "how sure you are" in text)
    assert number["temperature"] == 0


def test_effort_counts_calls_and_tokens() -> None:
    evidence = gathered(Scripted(sensible), every_probe())
    assert evidence.effort["samples"].n_calls == 4
    assert probes.effort("normalised_probability", evidence).n_calls == 1
    assert probes.effort("verbalised", evidence).n_calls == 3
    assert probes.effort("p_true", evidence).n_calls == 2  # of three verdicts one is read
    assert probes.effort("p_true_text", evidence).n_calls == 4
    assert probes.effort("self_consistency", evidence).n_calls == 5
    assert probes.effort("semantic_entropy", evidence).n_calls == 5 + 2  # two answers, both orders
    whole = probes.whole_effort(probes.available(), evidence)
    assert whole.n_calls == sum(effort.n_calls for effort in evidence.effort.values())
    assert whole.n_tokens and whole.cost_usd
    unknown = Effort(n_calls=1, n_tokens=None, cost_usd=None) + Effort(n_calls=2, n_tokens=5)
    assert (unknown.n_calls, unknown.n_tokens, unknown.cost_usd) == (3, None, None)


@pytest.mark.parametrize("refuses", [True, False])
def test_without_logprobs_the_reason_is_kept(refuses: bool) -> None:
    model = Scripted(sensible, refuses_logprobs=True)
    if not refuses:
        model.candidate = Candidate(
            name="mute", provider="fake", model="mute", price=CHEAP, capabilities=frozenset({"streaming"})
        )
    evidence = gathered(model, every_probe())
    why = "no logprobs here" if refuses else "known to give none"
    for name in ("sequence_log_likelihood", "token_entropy", "p_true", "semantic_entropy_rao", "cocoa"):
        found = reading(name, evidence)
        assert isinstance(found, Unavailable) and why in found.reason, name
    assert confidence("self_consistency", evidence) == 0.75
    assert confidence("p_true_text", evidence) == 1
    if not refuses:
        assert not any("logprobs" in fields for _, fields in model.asked)


def test_answers_without_number_verdict_or_step() -> None:
    evidence = gathered(Scripted(lambda *_: "I would rather not say."), every_probe(), kind="exact")
    for name in ("verbalised", "verbalised_top_k", "p_true_text", "forced_reasoning", "rephrasing"):
        assert isinstance(reading(name, evidence), Unavailable), name
    assert evidence.missing["paraphrases"].endswith("no other wording of the question")


def test_empty_answers_and_samples() -> None:
    evidence = gathered(Scripted(lambda *_: "  "), every_probe())
    assert isinstance(reading("self_consistency", evidence), Unavailable)
    assert "no answer to ask about" in evidence.missing["p_true"]
    for name in probes.available():
        found = reading(name, evidence, embedder=HashedNgrams())
        assert found.confidence is None or 0 <= found.confidence <= 1
    nothing = Evidence(query_id="q", question=QUESTION)
    assert all(reading(name, nothing).confidence is None for name in probes.available())


def test_failing_calls_stop_nothing_else() -> None:
    def flaky(text: str, options: Options) -> Reply:
        if options.fields.get("seed") == 2 or "best guesses" in text:
            return ProviderError("down", candidate="scripted")
        return sensible(text, options)

    evidence = gathered(Scripted(flaky), every_probe())
    assert len(evidence.all("samples")) == 3 and "down" in evidence.missing["samples"]
    assert confidence("self_consistency", evidence) == pytest.approx(2 / 3)
    found = reading("verbalised_top_k", evidence)
    assert isinstance(found, Unavailable) and "down" in found.reason
    dead = gathered(Scripted(lambda *_: ProviderError("down")), every_probe())
    assert not any(dead.said.values())
    assert all(reading(name, dead).confidence is None for name in probes.available())


def test_cancelling_ends_the_calls_under_way() -> None:
    async def main() -> int:
        model = Scripted(lambda text, options: "stall" if "seed" in options.fields else "8")
        start = Evidence(query_id="q", question=QUESTION)
        asked = asyncio.create_task(
            probes.gather(model, Query(text=QUESTION), [probes.Greedy(), probes.Samples(3)], start)
        )
        while model.n_under_way < 3:
            await asyncio.sleep(0.001)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        return model.n_under_way

    assert asyncio.run(main()) == 0


def test_probes_wait_for_what_they_build_on() -> None:
    order = [[probe.name for probe in wave] for wave in waves([probes.PTrue(), probes.Greedy()], {})]
    assert order == [["greedy"], ["p_true"]]
    with pytest.raises(ConfigError, match="wanted greedy"):
        waves([probes.Verbalised()], {})
    with pytest.raises(ConfigError, match="need one, above 0"):
        probes.Samples(0)


def test_labels_by_logprobs_else_by_samples() -> None:
    top = (
        ("Neg", math.log(0.6)),
        (" negative", math.log(0.1)),
        ("pos", math.log(0.2)),
        ("n", math.log(0.05)),
    )
    labels = labels_of("label", "negative//positive,negative,neutral")
    assert labels == ("negative", "neutral", "positive")
    greedy = Said(text="Negative", tokens=(TokenLogprob("Neg", math.log(0.6), top),))
    evidence = Evidence(query_id="q", question="?", kind="label", labels=labels, said={"greedy": (greedy,)})
    assert confidence("label_probability", evidence) == pytest.approx(0.7 / 0.9)  # "n" begins two labels
    samples = tuple(Said(text=text) for text in ("negative", "It is positive", "negative.", "who knows"))
    bare = Evidence(
        query_id="q",
        question="?",
        kind="label",
        labels=labels,
        said={"greedy": (Said(text="negative"),), "samples": samples},
    )
    assert confidence("label_probability", bare) == pytest.approx(2 / 3)
    assert isinstance(reading("label_probability", Evidence(query_id="q", question="?")), Unavailable)


def test_meanings_by_answer_vectors_entailment_and_judge() -> None:
    texts = ("Paris, of course", "Paris", "Lyon", "It is Paris")
    said = {"greedy": (Said(text="Paris"),), "samples": tuple(Said(text=text) for text in texts)}
    evidence = Evidence(query_id="q", question="Capital of France?", kind="exact", said=said)
    assert confidence("num_semantic_sets", evidence) == 0  # four wordings

    class OneWord:
        """Entails whatever shares its town."""

        def probabilities(self, premises: Any, hypotheses: Any) -> Any:
            same = [
                ("Paris" in one) == ("Paris" in other)
                for one, other in zip(premises, hypotheses, strict=True)
            ]
            return np.array([[1.0, 0, 0] if one else [0, 0, 1.0] for one in same])

    nli = probes.ByEntailment(OneWord())
    assert confidence("num_semantic_sets", evidence, meaning=nli) == pytest.approx(2 / 3)
    vectors = probes.ByEmbedding(HashedNgrams())
    assert 0 < (confidence("degree_matrix", evidence, meaning=vectors) or 0) < 1
    assert isinstance(reading("semantic_entropy", evidence, meaning=probes.ByJudge()), Unavailable)

    def judge(text: str, options: Options) -> Reply:
        return "No." if "Lyon" in text else "Yes, both."

    async def judged() -> Evidence:
        asked = [probes.SameMeaning(Scripted(judge, name="judge"))]
        return await probes.gather(Scripted(lambda *_: "?"), Query(text="?"), asked, evidence)

    found = asyncio.run(judged())
    assert found.effort["same_meaning"].n_calls == 12  # every two of four wordings, in both orders
    assert confidence("num_semantic_sets", found, meaning=probes.ByJudge()) == pytest.approx(2 / 3)


def test_wordings() -> None:
    lines = "Sure!", "- Version 1: How old is Mira?", "* how old is mira", "2) What age has Mira?", "3. Old?"
    text = "\n".join(lines)
    assert read_wordings(text, "Mira's age?") == ["How old is Mira?", "What age has Mira?"]
    assert read_wordings("How old is Mira?\nI hope this helps.", "x") == ["How old is Mira?"]
    query = Query.from_messages(
        [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Old?\n\nOnly a number."}]
    )
    changed = reworded(query, "Old?", "What age?")
    assert [message["content"] for message in changed.chat()] == ["Be terse.", "What age?\n\nOnly a number."]


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("She has 14 + 9 = 23 marbles.", "number", "23"),
        ("1,200", "gsm8k", "1200"),
        ("The answer is B.", "choice", "B"),
        ("Paris!", "exact", "paris"),
        ("", "number", ""),
        ("no idea", "number", "no idea"),
    ],
)
def test_keys(text: str, kind: str, key: str) -> None:
    assert answer_key(text, kind) == key


def test_signals_are_those_of_the_list() -> None:
    assert set(probes.available()) <= set(listed.available())
    weights = {name for name in listed.available() if listed.get(name).access == "weights"}
    assert set(listed.available()) - set(probes.available()) == weights
    with pytest.raises(UnknownName):
        probes.read("no_such", Facts(Evidence(query_id="q", question="?")))


def test_the_recorded_panel() -> None:
    runs = panel.load_runs().where(query_id=["add_integers-0", "classify_sentiment-0", "add_integers-1"])
    known = {one.evidence.query_id: one for one in probes.recorded(runs, "small")}
    assert set(known) == {"add_integers-0", "classify_sentiment-0", "add_integers-1"}
    full = known["add_integers-0"].evidence
    assert {name: len(said) for name, said in full.said.items()} == {
        "greedy": 1, "samples": 5, "paraphrases": 5, "p_true": 8, "other_models": 2,
    }  # fmt: skip
    assert known["add_integers-1"].group == "add_integers"
    assert "the recording has none" in str(reading("self_consistency", known["add_integers-1"].evidence))
    absent = {"label_probability", "rephrasing_within", "forced_reasoning", "verbalised", "verbalised_top_k"}
    for name in probes.available():
        found = reading(name, full, embedder=HashedNgrams())
        assert isinstance(found, Signal) == (name not in absent), name
    with pytest.raises(DataError, match="no row is of the model"):
        probes.recorded(runs, "huge")
    with pytest.raises(DataError):
        probes.recorded(Runs(runs.table.drop_columns(["score"])), "small")
