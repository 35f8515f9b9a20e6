"""Word problems and competition mathematics: GSM8K and MATH."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from suffice.datasets.base import Info, TaskSet
from suffice.datasets.items import Item
from suffice.datasets.rows import FILE, Row

WORD_PROBLEM: Final = 'Work step by step, then end with a line "#### N", where N is the final number.'
COMPETITION: Final = "Work step by step and put the final answer in \\boxed{}."


class Gsm8k(TaskSet):
    info = Info(
        name="gsm8k", title="GSM8K", kind="word problem", metric="gsm8k", license="MIT",
        homepage="https://github.com/openai/grade-school-math", n_queries=1_319, hub="openai/gsm8k",
        hub_config="main", aliases=("gsm",),
        patterns=(
            "grade_school_math/data/test.jsonl", "data/test.jsonl", "test.jsonl", "*.jsonl", "*.parquet",
        ),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        return self._solved(f"gsm8k/{number}", row["question"], row["answer"])

    def from_long(self, row: Row) -> Item | None:
        reference = row.get("reference")
        return self._solved(row["query_id"], row["query"], reference, row.get("split")) if reference else None

    def _solved(self, query_id: str, question: str, answer: str, split: str | None = None) -> Item:
        return self.make(
            query_id, question.strip(), reference=answer.strip(), instruction=WORD_PROBLEM, split=split
        )


class Math(TaskSet):
    """The reference is the worked solution; the metric reads its last `\\boxed{}`."""

    info = Info(
        name="math", title="MATH", kind="competition mathematics", metric="math", license="MIT",
        homepage="https://github.com/hendrycks/math", n_queries=5_000, hub="EleutherAI/hendrycks_math",
        patterns=("MATH/test/*/*.json", "test/*/*.json", "*/*.json", "*.json", "*.jsonl", "*.parquet"),
        aliases=("mathl5", "hendrycksmath", "math500"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        path = PurePosixPath(row.get(FILE) or "")
        place = f"{path.parent.name}/{path.stem}" if path.suffix == ".json" else str(number)
        return self._solved(f"math/{place}", row["problem"], row["solution"])

    def from_long(self, row: Row) -> Item | None:
        reference = row.get("reference")
        return self._solved(row["query_id"], row["query"], reference, row.get("split")) if reference else None

    def _solved(self, query_id: str, problem: str, solution: str, split: str | None = None) -> Item:
        return self.make(
            query_id, problem.strip(), reference=solution.strip(), instruction=COMPETITION, split=split
        )
