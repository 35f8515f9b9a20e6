"""The recorded answers that the built-in router may learn from, and under which licence they stand.

A source is here only if the repository that holds it states a licence that lets what was learnt from it
be shipped. Left out for that reason: routerbench, routerdc7, routerbench_mini and mot_cascade (none
stated), alpaca_* (CC BY-NC).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Source:
    """One file of recorded answers."""

    name: str
    origin: str
    """Repository and commit."""
    licence: str
    keep: Callable[[dict[str, Any]], bool] = field(default=lambda row: True, repr=False)
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answered:
    """One graded answer."""

    source: str
    task: str
    text: str
    model: str
    score: float
    tags: str = ""
    """What else tells where the question comes from."""


SOURCES: Final = (
    Source("routellm_mmlu", "lm-sys/RouteLLM@0b64fda", "Apache-2.0 (MMLU: MIT)"),
    Source("routellm_gsm8k", "lm-sys/RouteLLM@0b64fda", "Apache-2.0 (GSM8K: MIT)"),
    Source(
        "routellm_mtbench",
        "lm-sys/RouteLLM@0b64fda",
        "Apache-2.0",
        keep=lambda row: row["turn"] == 1,
        columns=("turn",),
    ),
    Source("zeroeval", "WildEval/ZeroEval@8c1485e", "Apache-2.0"),
    Source("mmlu_pro", "TIGER-AI-Lab/MMLU-Pro@f418b11", "Apache-2.0", columns=("origin",)),
    Source("routerarena", "RouteWorks/RouterArena@4714a9a", "Apache-2.0"),
    Source("gsm8k_openai2021", "openai/grade-school-math@3101c7d", "MIT"),
    Source("bbh_codex", "suzgunmirac/BIG-Bench-Hard@9ee07bd", "MIT"),
    Source("llmrouter_example", "ulab-uiuc/LLMRouter@4e7a796", "MIT"),
    Source("paretobandit", "ParetoBandit/ParetoBandit", "Apache-2.0"),
    Source(
        "adarague",
        "s-nlp/AdaRAGUE@31c3428",
        "MIT",
        keep=lambda row: row["strategy"] == "none",
        columns=("strategy",),
    ),
    Source(
        "panel",
        "recorded for this project",
        "that of the project",
        keep=lambda row: row["strategy"] == "greedy",
        columns=("strategy",),
    ),
)
_WRAPPER: Final = re.compile(r"\A(?:Please|Generate|Read|You are|Your task)[^\n]*\n\s*(?:Context: None\s*)?")
_ANSWER_FORM: Final = re.compile(r"\n\s*Provide (?:your|the) [^\n]*(?:\n.*)?\Z", re.DOTALL)


def read(folder: Path, panel: Path) -> Iterator[Answered]:
    """Every graded answer of all sources.

    Parameters
    ----------
    folder : holds NAME.parquet for each source but the panel
    panel : the recorded panel that ships with the package
    """
    for source in SOURCES:
        path = panel if source.name == "panel" else folder / f"{source.name}.parquet"
        names = set(pq.read_schema(path).names)
        wanted = ["task", "query", "choices", "model", "score", *source.columns]
        table = pq.read_table(path, columns=[name for name in wanted if name in names])
        for row in table.to_pylist():
            if row["score"] is not None and source.keep(row):
                yield Answered(
                    source=source.name,
                    task=row["task"],
                    text=_text(source.name, row),
                    model=row["model"],
                    score=min(max(float(row["score"]), 0.0), 1.0),
                    tags=row.get("origin") or "",
                )


def _text(source: str, row: dict[str, Any]) -> str:
    """The question as a user would put it: with its choices, without a benchmark's wrapping."""
    text: str = row["query"]
    if source == "mmlu_pro":
        choices = json.loads(row["choices"])
        letters = "ABCDEFGHIJKLMNOP"
        return "\n".join([text, *(f"{letter}. {one}" for letter, one in zip(letters, choices, strict=False))])
    if source == "routerarena":
        return _ANSWER_FORM.sub("", _WRAPPER.sub("", text)).strip() or text
    return text
