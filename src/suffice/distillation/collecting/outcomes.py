"""Rows from answers that were recorded elsewhere: the long format with responses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from suffice.distillation.collecting.asked import part_of
from suffice.distillation.flywheel.rows import Row, Sample
from suffice.errors import DataError
from suffice.outcomes import Runs

_COLUMNS: Final = (
    "query_id", "query", "model", "response", "reference", "task", "split", "user", "score", "cost_usd",
    "latency_s", "prompt_tokens", "completion_tokens", "finish_reason",
)  # fmt: skip


def from_outcomes(path: Path, teacher: str) -> list[Row]:
    """One row per query that the teacher answered, its samples in the file's order.

    A recorded score stands in `meta["score"]`, as one of a row's first sample.

    Raises
    ------
    DataError
        If the file cannot be read, has no responses, or has none of the teacher.
    """
    found: dict[str, Row] = {}
    models: set[str] = set()
    for runs in Runs.iter_batches(path):
        if "response" not in runs.columns or "model" not in runs.columns:
            raise DataError("has no answers to learn from: model and response are needed", file=str(path))
        names = [name for name in _COLUMNS if name in runs.columns]
        for values in zip(*(runs.column(name) for name in names), strict=True):
            line = dict(zip(names, values, strict=True))
            models.add(line["model"])
            if line["model"] == teacher and line.get("response"):
                _add(found, line)
    if not found:
        known = ", ".join(sorted(filter(None, models))[:10]) or "none"
        raise DataError(f"holds no answer of {teacher!r}; it has answers of {known}", file=str(path))
    return list(found.values())


def _add(found: dict[str, Row], line: dict[str, Any]) -> None:
    cost = line.get("cost_usd")
    sample = Sample(
        text=line["response"],
        finish=line.get("finish_reason"),
        cost_usd=None if cost is None else Decimal(repr(cost)),
        latency_s=line.get("latency_s"),
        prompt_tokens=_whole(line.get("prompt_tokens")),
        completion_tokens=_whole(line.get("completion_tokens")),
    )
    before = found.get(line["query_id"])
    score = line.get("score")
    found[line["query_id"]] = Row(
        id=line["query_id"],
        query=line["query"],
        task=line.get("task"),
        subject=line.get("user"),
        reference=line.get("reference"),
        teacher=line["model"],
        samples=(*(before.samples if before else ()), sample),
        part=part_of(line.get("split")),
        meta=before.meta if before else {"source": "outcomes"} | ({} if score is None else {"score": score}),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
