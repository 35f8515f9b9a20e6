"""Multiple choice: MMLU, GPQA, CommonsenseQA, OpenbookQA, ARC-Challenge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from suffice.datasets.base import LETTERS, Info, TaskSet, choice_texts, letter_of, with_choices
from suffice.datasets.items import Item
from suffice.datasets.rows import FILE, Row

INSTRUCTION: Final = (
    'Think briefly if you must, then end with a line "Answer: X", where X is the letter of the right choice.'
)


class ChoiceSet(TaskSet):
    """A question, its choices, and which one is right."""

    def chosen(
        self, query_id: str, question: str, choices: Sequence[str], letter: str, split: str | None = None
    ) -> Item:
        query = with_choices(question, choices)
        if letter not in LETTERS[: len(choices)]:
            raise ValueError(f"{letter!r} is none of {len(choices)} choices")
        return self.make(query_id, query, reference=letter, instruction=INSTRUCTION, split=split)

    def labelled(self, query_id: str, question: str, choices: object, label: str) -> Item:
        texts, labels = choice_texts(choices)
        return self.chosen(query_id, question, texts, letter_of(label, labels))

    def from_long(self, row: Row) -> Item | None:
        """Choices may stand in a column of their own or in the query already."""
        reference = str(row.get("reference") or "").strip()
        if not reference:
            return None
        if not row.get("choices"):
            return self.make(
                row["query_id"], row["query"], reference=reference, instruction=INSTRUCTION,
                split=row.get("split"),
            )  # fmt: skip
        texts, labels = choice_texts(row["choices"])
        letter = letter_of(reference, labels) if reference in labels else reference
        return self.chosen(row["query_id"], row["query"], texts, letter, row.get("split"))


class Mmlu(ChoiceSet):
    """Its CSV files have no header: question, four choices, letter; the subject is the file's name."""

    info = Info(
        name="mmlu", title="MMLU", kind="multiple choice", metric="choice", license="MIT",
        homepage="https://github.com/hendrycks/test", n_queries=14_042, hub="cais/mmlu", hub_config="all",
        patterns=("data/test/*_test.csv", "test/*_test.csv", "*_test.csv", "*.csv", "*.parquet"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        if "question" in row:
            answer = row["answer"]
            letter = LETTERS[int(answer)] if str(answer).isdigit() else str(answer)
            texts, _ = choice_texts(row["choices"])
            return self.chosen(f"mmlu/{row['subject']}/{number}", row["question"], texts, letter)
        subject = PurePosixPath(row[FILE]).stem.removesuffix("_test")
        choices = [row[str(place)] for place in range(1, 5)]
        return self.chosen(f"mmlu/{subject}/{number}", row["0"], choices, row["5"].strip())


class Gpqa(ChoiceSet):
    """Choices come in an order drawn from the question: in the file the right one stands first."""

    info = Info(
        name="gpqa", title="GPQA", kind="multiple choice", metric="choice", license="CC BY 4.0",
        homepage="https://github.com/idavidrein/gpqa", n_queries=448, hub="Idavidrein/gpqa",
        hub_config="gpqa_main", split="train", is_gated=True,
        patterns=("gpqa_main.csv", "*/gpqa_main.csv", "gpqa_*.csv", "*.csv", "*.parquet"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        right = row["Correct Answer"].strip()
        choices = [right, *(row[f"Incorrect Answer {place}"].strip() for place in (1, 2, 3))]
        question = row["Question"].strip()
        order = sorted(choices, key=lambda text: hashlib.sha256(f"{question}\0{text}".encode()).digest())
        query_id = f"gpqa/{row.get('Record ID') or number}"
        return self.chosen(query_id, question, order, LETTERS[order.index(right)])


class CommonsenseQa(ChoiceSet):
    """The validation part: the test part's answers are not published."""

    info = Info(
        name="commonsense_qa", title="CommonsenseQA", kind="multiple choice", metric="choice",
        license="MIT", homepage="https://www.tau-nlp.org/commonsenseqa", n_queries=1_221,
        split="validation", hub="tau/commonsense_qa", hub_config="default", aliases=("csqa",),
        patterns=("dev_rand_split.jsonl", "dev*.jsonl", "validation*.jsonl", "*.jsonl", "*.parquet"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        if not row.get("answerKey"):
            return None
        inner = row["question"]
        question, choices = (
            (inner["stem"], inner["choices"]) if isinstance(inner, dict) else (inner, row["choices"])
        )
        return self.labelled(f"commonsense_qa/{row['id']}", question, choices, row["answerKey"])


class OpenbookQa(ChoiceSet):
    """Without the "open book" of facts."""

    info = Info(
        name="openbook_qa", title="OpenbookQA", kind="multiple choice", metric="choice",
        license="Apache-2.0 (code; none stated for the data)", homepage="https://allenai.org/data/open-book-qa",
        n_queries=500, hub="allenai/openbookqa", hub_config="main", aliases=("obqa",),
        patterns=("Data/Main/test.jsonl", "Main/test.jsonl", "test.jsonl", "*.jsonl", "*.parquet"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        inner = row.get("question")
        question, choices = (
            (inner["stem"], inner["choices"])
            if isinstance(inner, dict)
            else (row["question_stem"], row["choices"])
        )
        return self.labelled(f"openbook_qa/{row['id']}", question, choices, row["answerKey"])


class ArcChallenge(ChoiceSet):
    """Three to five choices, some numbered 1 to 4."""

    info = Info(
        name="arc_challenge", title="ARC-Challenge", kind="multiple choice", metric="choice",
        license="CC BY-SA 4.0", homepage="https://allenai.org/data/arc", n_queries=1_172,
        hub="allenai/ai2_arc", hub_config="ARC-Challenge", aliases=("arc", "arcc"),
        patterns=(
            "ARC-Challenge/ARC-Challenge-Test.jsonl", "ARC-Challenge-Test.jsonl", "*.jsonl", "*.parquet",
        ),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        inner = row["question"]
        question, choices = (
            (inner["stem"], inner["choices"]) if isinstance(inner, dict) else (inner, row["choices"])
        )
        return self.labelled(f"arc_challenge/{row['id']}", question, choices, row["answerKey"])
