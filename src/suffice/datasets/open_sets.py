"""Short answers to open questions: Natural Questions and TriviaQA, without their documents."""

from __future__ import annotations

import json
from typing import Final

from suffice.datasets.base import Info, TaskSet, distinct
from suffice.datasets.items import Item
from suffice.datasets.rows import Row

INSTRUCTION: Final = "Reply with the answer alone, as short as possible."


class OpenSet(TaskSet):
    """A question and every answer that counts as right."""

    def open(self, query_id: str, question: str, answers: list[str], split: str | None = None) -> Item | None:
        known = distinct(answers)
        if not known:
            return None
        question = question.strip()
        reference = known[0] if len(known) == 1 else json.dumps(known, ensure_ascii=False)
        return self.make(query_id, question, reference=reference, instruction=INSTRUCTION, split=split)

    def from_long(self, row: Row) -> Item | None:
        return self.open(row["query_id"], row["query"], [row.get("reference") or ""], row.get("split"))


class NaturalQa(OpenSet):
    """The open-domain version: questions with answers of at most five tokens."""

    info = Info(
        name="natural_qa", title="Natural Questions (open)", kind="short answer", metric="f1",
        license="CC BY-SA 3.0",
        homepage="https://github.com/google-research-datasets/natural-questions/tree/master/nq_open",
        n_queries=3_610, split="validation", hub="google-research-datasets/nq_open", hub_config="nq_open",
        patterns=("NQ-open.dev.jsonl", "*dev*.jsonl", "*.jsonl", "*.parquet"), aliases=("nq", "nqopen"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        return self.open(f"natural_qa/{number}", row["question"], [str(text) for text in row["answer"]])


class TriviaQa(OpenSet):
    """The unfiltered validation part; every alias of an answer is right."""

    info = Info(
        name="trivia_qa", title="TriviaQA", kind="short answer", metric="f1",
        license="Apache-2.0 (code; the questions' owners keep their rights)",
        homepage="https://nlp.cs.washington.edu/triviaqa/", n_queries=11_313, split="validation",
        hub="mandarjoshi/trivia_qa", hub_config="unfiltered.nocontext",
        patterns=(
            "triviaqa-unfiltered/unfiltered-web-dev.json", "unfiltered-web-dev.json", "qa/wikipedia-dev.json",
            "*dev.json", "*.json", "*.parquet",
        ),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        answer = row.get("answer") or row["Answer"]
        first = answer.get("value") or answer.get("Value") or ""
        aliases = answer.get("aliases") or answer.get("Aliases") or []
        query_id = row.get("question_id") or row.get("QuestionId") or number
        question = row.get("question") or row["Question"]
        return self.open(f"trivia_qa/{query_id}", question, [first, *aliases])
