"""Rows by asking a teacher: concurrent, within a budget, and resumed where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice.datasets.asking import Asker, Unanswered
from suffice.datasets.budget import Budget
from suffice.datasets.items import sample_by
from suffice.datasets.journal import Answered, Journal
from suffice.datasets.labelling import Crowd, Reply, Wish
from suffice.distillation.collecting.forgetting import about
from suffice.distillation.collecting.settings import Collecting
from suffice.distillation.flywheel import panel
from suffice.distillation.flywheel.answers import split_reasoning
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import PARTS, TEST, TRAIN, VALIDATION, Row, Sample
from suffice.distillation.flywheel.work import Step, Work, quiet
from suffice.errors import DataError

_KEEP: Final = {"query_id", "query", "prompt", "task", "split", "reference", "user"}
_PARTS: Final = {
    **{part: part for part in PARTS}, "training": TRAIN, "valid": VALIDATION, "val": VALIDATION,
    "dev": VALIDATION, "testing": TEST,
}  # fmt: skip


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the asking, which may run elsewhere."""

    project: Project
    settings: Collecting
    rows: list[Row]
    journal: Path
    limit_usd: Decimal | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; rows in their order, those without any answer left out."""

    rows: list[Row]
    n_failed: int
    n_not_asked: int
    spent_usd: Decimal
    """Of all runs so far, without `unknown_usd`."""
    unknown_usd: Decimal = Decimal(0)
    """What calls count as that were under way when a run was killed."""
    n_unknown: int = 0
    reasons: Mapping[str, int] = {}
    """Why calls have no answer, and how many."""


def part_of(split: Any) -> str | None:
    """The part that a file's column `split` names; None for other words."""
    return _PARTS.get(split.strip().lower()) if isinstance(split, str) else None


def read_queries(path: Path, *, limit: int | None = None, seed: int = 0) -> list[Row]:
    """Rows without answers, each query once.

    Parameters
    ----------
    path : JSONL, CSV or Parquet with query_id and query; prompt (sent instead of query), task, split,
        reference and user are read where they are there
    limit : at most so many, drawn by seed and id

    Raises
    ------
    DataError
        With file and row, also where an id stands for two queries.
    """
    from suffice.outcomes import reading

    found: dict[str, Row] = {}
    number = 0
    for table in reading.batches(str(path), required=("query",), filled=("query_id",), keep=_KEEP):
        for line in table.to_pylist():
            number += 1
            row = _unanswered(line)
            if found.setdefault(row.id, row).query != row.query:
                said = f"{row.id!r} stands for two queries; ids must differ"
                raise DataError(said, file=str(path), row=number, column="query_id")
    return sample_by(list(found.values()), limit, seed, lambda row: row.id)


def _unanswered(line: Mapping[str, Any]) -> Row:
    prompt = line.get("prompt")
    return Row(
        id=line["query_id"],
        query=line.get("query") or "",
        messages=({"role": "user", "content": prompt},) if prompt else (),
        task=line.get("task") or None,
        subject=line.get("user") or None,
        reference=line.get("reference") or None,
        part=part_of(line.get("split")),
        meta={"source": "ask"},
    )


def ask(rows: Sequence[Row], work: Work) -> Asked:
    """The teacher's answers to all rows.

    Rows are dealt to `shards` journals by their ids; an executor that is not local runs them side by side,
    each with its share of the budget.

    Raises
    ------
    ConfigError
        If the teacher is not in the panel, or a call cannot be bounded.
    """
    settings: Collecting = work.settings
    dealt: list[list[Row]] = [[] for _ in range(settings.shards)]
    for row in rows:
        dealt[_shard_of(row.id, settings.shards)].append(row)
    limit = Decimal(repr(work.project.limits.usd))
    shards = [
        Shard(
            project=work.project,
            settings=settings,
            rows=mine,
            journal=work.journals.resolve() / f"collect-{number}.jsonl",
            limit_usd=limit * len(mine) / max(1, len(rows)),
        )
        for number, mine in enumerate(dealt)
        if mine
    ]
    found = []
    if work.executor.is_local:
        watched = _Watched(work.on_step, len(rows) * settings.samples)
        for shard in shards:
            found.append(ask_shard(shard, watched.step))
            watched.next(len(shard.rows) * settings.samples, found[-1].spent_usd)
    else:
        for one in work.executor.map(ask_shard, shards):
            found.append(one)
            spent = sum((part.spent_usd for part in found), Decimal(0))
            work.on_step(len(found), len(shards), spent)
    return _joined(rows, found)


def ask_shard(shard: Shard, on_step: Step = quiet) -> Asked:
    """One shard, in this process."""
    return asyncio.run(_ask(shard, on_step))


async def _ask(shard: Shard, on_step: Step) -> Asked:
    settings, teacher = shard.settings, shard.project.teacher
    wish = Wish(
        samples=settings.samples,
        max_tokens=settings.max_tokens,
        concurrency=settings.concurrency,
        fields=_fields(settings),
    )
    calls = [(row, sample) for row in shard.rows for sample in range(settings.samples)]
    async with panel.opened(shard.project, [teacher]) as models:
        with Journal(shard.journal) as journal:
            budget = Budget(shard.limit_usd, journal.spent_usd)
            asker = Asker(journal, budget, timeout_s=settings.timeout_s, retries=settings.retries)
            asker.check(models[teacher], wish.fields_of(0), remedy="take another model (0 is a price too)")
            crowd = Crowd(asker, wish.concurrency, len(calls), on_step)

            async def one(row: Row, sample: int) -> Reply:
                query = shard.project.task.asked(row.asked())
                return await asker.ask(models[teacher], query, wish.fields_of(sample), sample, about(row))

            replies = await crowd.all(one(*call) for call in calls)
            found = _gathered(calls, replies, teacher, settings, journal.spent_usd - journal.unknown_usd)
            return msgspec.structs.replace(
                found, unknown_usd=journal.unknown_usd, n_unknown=journal.n_unknown
            )


def _fields(settings: Collecting) -> dict[str, Any]:
    wanted = {"logprobs": True, "top_logprobs": settings.logprobs} if settings.logprobs else {}
    return {**wanted, **settings.fields}


def _gathered(
    calls: Sequence[tuple[Row, int]],
    replies: Sequence[Reply],
    teacher: str,
    settings: Collecting,
    spent: Decimal,
) -> Asked:
    samples: dict[str, list[Sample]] = {}
    reasons: dict[str, int] = {}
    n_failed = n_not_asked = 0
    for (row, _), reply in zip(calls, replies, strict=True):
        if isinstance(reply, Answered):
            samples.setdefault(row.id, []).append(_sample(reply, settings.keep_reasoning))
        elif isinstance(reply, Unanswered):
            reasons[reply.reason] = reasons.get(reply.reason, 0) + 1
            n_failed += reply.was_asked
            n_not_asked += not reply.was_asked
    rows = dict.fromkeys((row.id for row, _ in calls))
    by_id = {row.id: row for row, _ in calls}
    return Asked(
        rows=[
            msgspec.structs.replace(by_id[name], teacher=teacher, samples=tuple(samples[name]))
            for name in rows
            if name in samples
        ],
        n_failed=n_failed,
        n_not_asked=n_not_asked,
        spent_usd=spent,
        reasons=reasons,
    )


def _sample(reply: Answered, keeps_reasoning: bool) -> Sample:
    reasoning, text = split_reasoning(reply.content)
    return Sample(
        text=text,
        reasoning=reasoning if keeps_reasoning else None,
        logprobs=reply.logprobs,
        finish=reply.finish_reason,
        cost_usd=reply.cost_usd,
        latency_s=reply.latency_s,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )


def _joined(rows: Sequence[Row], parts: Sequence[Asked]) -> Asked:
    answered = {row.id: row for part in parts for row in part.rows}
    reasons: dict[str, int] = {}
    for part in parts:
        for reason, n in part.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + n
    return Asked(
        rows=[answered[row.id] for row in rows if row.id in answered],
        n_failed=sum(part.n_failed for part in parts),
        n_not_asked=sum(part.n_not_asked for part in parts),
        spent_usd=sum((part.spent_usd for part in parts), Decimal(0)),
        unknown_usd=sum((part.unknown_usd for part in parts), Decimal(0)),
        n_unknown=sum(part.n_unknown for part in parts),
        reasons=reasons,
    )


def _shard_of(name: str, shards: int) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()) % shards


class _Watched:
    """One count over shards that run one after another."""

    def __init__(self, on_step: Step, total: int) -> None:
        self._on_step, self._total = on_step, total
        self._before, self._spent = 0, Decimal(0)

    def step(self, done: int, total: int | None, usd: Decimal | None) -> None:
        self._on_step(self._before + done, self._total, self._spent + (usd or Decimal(0)))

    def next(self, done: int, spent: Decimal) -> None:
        self._before += done
        self._spent += spent
