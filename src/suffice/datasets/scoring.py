"""Answers to scores and files: outcomes, preferences, and a summary by model."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from suffice.datasets import metrics
from suffice.datasets.asking import Unanswered
from suffice.datasets.journal import Answered
from suffice.datasets.labelling import Labelled, Reading, Verdict
from suffice.errors import DataError
from suffice.outcomes import Preferences

_log = logging.getLogger(__name__)


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A reading and its score."""

    reading: Reading
    score: float | None
    """None: no answer, or nobody could tell."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    model: str
    n: int
    """Calls that were wanted."""
    n_scored: int
    quality: float | None
    """Mean over the scored ones; None without any."""
    quality_error: float | None
    """Its standard error."""
    cost_usd: float | None
    """Of its answers; None where one of them has no known cost."""
    n_failed: int
    n_not_asked: int


def score(labelled: Labelled, *, on_step: Callable[[int], None] = lambda done: None) -> list[Scored]:
    """Scores of all answers; those that run code are computed side by side.

    Raises
    ------
    DataError
        If a reference does not fit its metric.
    UnknownName
        If a metric has no such name.
    """
    names = {reading.item.metric for reading in labelled.readings} - {metrics.JUDGED}
    made = {name: metrics.create(name) for name in sorted(names)}

    def one(reading: Reading) -> Scored:
        return Scored(reading=reading, score=_score(reading, labelled, made))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = []
        for scored in pool.map(one, labelled.readings):
            found.append(scored)
            on_step(len(found))
    return found


def _score(reading: Reading, labelled: Labelled, made: dict[str, metrics.Metric]) -> float | None:
    item, reply = reading.item, reading.reply
    if not isinstance(reply, Answered):
        return None
    if item.metric == metrics.JUDGED:
        return labelled.ratings.get((item.query_id, reading.model, reading.sample))
    try:
        found = float(made[item.metric].score(reply.content, item.reference))
    except ValueError as error:
        raise DataError(f"query {item.query_id!r}, metric {item.metric!r}: {error}") from error
    if not 0 <= found <= 1:  # also refuses NaN
        raise DataError(f"query {item.query_id!r}: the metric {item.metric!r} gave {found}, outside [0, 1]")
    return found


def summarise(scored: Sequence[Scored]) -> list[Summary]:
    """In the order in which models first occur."""
    by_model: dict[str, list[Scored]] = {}
    for one in scored:
        by_model.setdefault(one.reading.model, []).append(one)
    return [_summary(model, rows) for model, rows in by_model.items()]


def _summary(model: str, rows: Sequence[Scored]) -> Summary:
    replies = [row.reading.reply for row in rows]
    costs = [reply.cost_usd for reply in replies if isinstance(reply, Answered)]
    known = [cost for cost in costs if cost is not None]
    scores = np.array([row.score for row in rows if row.score is not None])
    spread = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
    missing = [reply for reply in replies if isinstance(reply, Unanswered)]
    return Summary(
        model=model,
        n=len(rows),
        n_scored=len(scores),
        quality=float(scores.mean()) if len(scores) else None,
        quality_error=spread,
        cost_usd=float(sum(known)) if len(known) == len(costs) else None,
        n_failed=sum(reply.was_asked for reply in missing),
        n_not_asked=sum(not reply.was_asked for reply in missing),
    )


_TEXT: Final = ("query_id", "query", "prompt", "task", "split", "reference", "source")


def write_outcomes(scored: Sequence[Scored], path: Path) -> None:
    """The long format of `docs/data.md`, a row per call; a failed one has neither score nor response.

    Raises
    ------
    DataError
        If the extension is unknown or the file cannot be written.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        name: [getattr(one.reading.item, name) or None for one in scored] for name in _TEXT
    }
    columns["query"] = [one.reading.item.query for one in scored]
    columns["model"] = [one.reading.model for one in scored]
    columns["metric"] = [one.reading.item.metric for one in scored]
    columns["sample"] = [one.reading.sample for one in scored]
    columns["score"] = [one.score for one in scored]
    answers = [one.reading.reply if isinstance(one.reading.reply, Answered) else None for one in scored]
    for name in ("prompt_tokens", "completion_tokens", "latency_s", "finish_reason"):
        columns[name] = [None if answer is None else getattr(answer, name) for answer in answers]
    columns["response"] = [None if answer is None else answer.content for answer in answers]
    columns["cost_usd"] = [
        None if answer is None or answer.cost_usd is None else float(answer.cost_usd) for answer in answers
    ]
    columns["error"] = [
        one.reading.reply.reason if isinstance(one.reading.reply, Unanswered) else None for one in scored
    ]
    numbers = {"score", "prompt_tokens", "completion_tokens", "latency_s", "cost_usd"}
    arrays = {
        name: pa.array(
            [_sound(value) for value in values] if name not in numbers | {"sample"} else values,
            pa.float64() if name in numbers else pa.int64() if name == "sample" else pa.large_string(),
        )
        for name, values in columns.items()
    }
    _replace(path, lambda scratch: _save(pa.table(arrays), scratch))


def _sound(text: str | None) -> str | None:
    """Half a surrogate pair is no text, and no file can hold it."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _save(table: Any, path: Path) -> None:
    from suffice.outcomes import reading

    reading.save(table, path)


def write_preferences(verdicts: Iterable[Verdict], judge: str, path: Path) -> int:
    """Pairs with a verdict; how many."""
    known = [one for one in verdicts if one.pref_b is not None]
    made = Preferences.from_columns(
        [one.item.query_id for one in known],
        [_sound(one.item.query) or "" for one in known],
        [one.model_a for one in known],
        [one.model_b for one in known],
        np.array([one.pref_b for one in known], np.float64),
        judge=[judge] * len(known),
    )
    _replace(path, made.write)
    return len(known)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """The whole file or none of it."""
    scratch = path.with_name(f".part-{path.name}")
    try:
        write(scratch)
        os.replace(scratch, path)
    except OSError as error:
        raise DataError(f"cannot be written: {error}", file=str(path)) from error
    finally:
        scratch.unlink(missing_ok=True)
