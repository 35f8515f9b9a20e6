"""Writing Python: HumanEval and MBPP, scored by running their tests."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from suffice.datasets.base import Info, TaskSet, choice_texts
from suffice.datasets.items import Item
from suffice.datasets.metrics.code import CodeReference
from suffice.datasets.rows import Row

COMPLETE: Final = "Reply with the complete function in one Python code block, without further text."
_DEF: Final = re.compile(r"^def\s+(\w+)\s*\(", re.MULTILINE)


class HumanEval(TaskSet):
    """A signature and docstring to go on from."""

    info = Info(
        name="human_eval", title="HumanEval", kind="Python function", metric="code", license="MIT",
        homepage="https://github.com/openai/human-eval", n_queries=164, hub="openai/openai_humaneval",
        hub_config="openai_humaneval",
        patterns=("data/HumanEval.jsonl.gz", "HumanEval.jsonl*", "*.jsonl.gz", "*.jsonl", "*.parquet"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        return self._task(f"human_eval/{row['task_id']}", row["prompt"], row["test"], row["entry_point"])

    def from_long(self, row: Row) -> Item | None:
        """The function asked for is the prompt's last one."""
        names = _DEF.findall(row["query"])
        reference = row.get("reference") or ""
        if not names or "def check(" not in reference:
            return None
        return self._task(row["query_id"], row["query"], reference, names[-1], row.get("split"))

    def _task(self, query_id: str, prompt: str, test: str, entry: str, split: str | None = None) -> Item:
        tests = f"{test}\n\ncheck({entry})\n"
        reference = msgspec.json.encode(CodeReference(tests=tests, setup=prompt, entry=entry)).decode()
        query = f"Complete this Python function:\n\n```python\n{prompt.rstrip()}\n```"
        return self.make(query_id, query, reference=reference, instruction=COMPLETE, split=split)


class Mbpp(TaskSet):
    """A sentence and three assertions, of which the prompt shows the first, so that the name is known.

    The test part are the tasks 11 to 510; the paper shows all three assertions.
    """

    info = Info(
        name="mbpp", title="MBPP", kind="Python function", metric="code", license="CC BY 4.0",
        homepage="https://github.com/google-research/google-research/tree/master/mbpp", n_queries=500,
        hub="google-research-datasets/mbpp", hub_config="full",
        patterns=("mbpp.jsonl", "*mbpp*.json*", "*.jsonl", "*.parquet"),
    )  # fmt: skip

    def item(self, row: Row, number: int) -> Item | None:
        task_id = int(row["task_id"])
        if not 11 <= task_id <= 510:
            return None
        text = row.get("text") or row["prompt"]
        setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or ())
        return self._task(f"mbpp/{task_id}", text, list(row["test_list"]), setup)

    def from_long(self, row: Row) -> Item | None:
        tests: Any = row.get("choices") or row.get("reference")
        if not tests:
            return None
        return self._task(row["query_id"], row["query"], choice_texts(tests)[0], "", row.get("split"))

    def _task(
        self, query_id: str, text: str, tests: list[str], setup: str, split: str | None = None
    ) -> Item | None:
        if not tests:
            return None
        reference = msgspec.json.encode(CodeReference(tests="\n".join(tests), setup=setup)).decode()
        query = f"{text.strip()}\n\nYour code should pass this test:\n\n{tests[0].strip()}"
        return self.make(query_id, query, reference=reference, instruction=COMPLETE, split=split)
