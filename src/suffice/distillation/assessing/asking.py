"""The student's answers to held rows: from its folder, from llama.cpp as it will be served, or the panel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np

from suffice.distillation.assessing.answers import cost_usd
from suffice.distillation.assessing.settings import Evaluating
from suffice.distillation.collecting.asked import Shard, ask_shard
from suffice.distillation.collecting.settings import Collecting
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.flywheel.work import Work
from suffice.distillation.students import open_student
from suffice.distillation.trainers.loop import fingerprint
from suffice.errors import ConfigError, DataError
from suffice.protocols import Model
from suffice.providers.student_card import CARD, read_card
from suffice.types import Candidate, Options, Price, Query, TokenLogprob

_BATCH = 16


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal."""

    id: str
    text: str
    confidence: float | None = None
    usd: float | None = None
    latency_s: float | None = None


def answered(rows: Sequence[Row], work: Work) -> dict[str, Told]:
    """By id. What was answered before a kill is read from the journal.

    Raises
    ------
    ConfigError
        If the student cannot be asked as the settings say.
    """
    settings: Evaluating = work.settings
    folder = work.inputs["train"]
    if settings.panel is not None:
        return _asked(rows, settings.panel, work)
    card = read_card(folder)
    if card.kind == "hosted":
        raise ConfigError(
            f"put {card.model!r} into the panel and name it as evaluate.panel", key="evaluate.panel"
        )
    how = (settings.gguf, settings.threads, settings.usd_per_cpu_hour)  # a new judge asks no student again
    key = fingerprint((folder / CARD).read_text(), how, folder.name)
    journal = work.journals / f"evaluate-{key[:12]}.jsonl"
    known = _read(journal)
    left = [row for row in rows if row.id not in known]
    answers = (
        _served(left, folder, work) if settings.gguf and card.kind == "lora" else _own(left, folder, settings)
    )
    try:
        with journal.open("ab") as file:
            for batch in answers if left else ():
                for one in batch:
                    known[one.id] = one
                    file.write(msgspec.json.encode(one) + b"\n")
                file.flush()
                work.on_step(len(known), len(rows), None)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", file=str(journal)) from error
    return known


def _own(rows: Sequence[Row], folder: Path, settings: Evaluating) -> Iterator[list[Told]]:
    student = open_student(folder)
    for batch in _batches(rows):
        said = student.answer([row.query for row in batch])
        columns = (said.texts, said.confidence.tolist(), said.cpu_s.tolist(), said.latency_s.tolist())
        yield [
            Told(
                id=row.id,
                text=text,
                confidence=sure,
                usd=cost_usd(cpu, settings.usd_per_cpu_hour),
                latency_s=wall,
            )
            for row, text, sure, cpu, wall in zip(batch, *columns, strict=True)
        ]


def _served(rows: Sequence[Row], folder: Path, work: Work) -> Iterator[list[Told]]:
    """By llama.cpp: the quantised base with the adapter."""
    from suffice.providers.base import ProviderSettings
    from suffice.providers.local import LocalModel

    settings: Evaluating = work.settings
    assert settings.gguf is not None
    extra = {
        "path": str(work.project.path(settings.gguf)),
        "adapter": str(folder),
        "threads": settings.threads,
        "context": max(256, 2 * read_card(folder).max_length),
    }
    price = Price(usd_per_cpu_hour=Decimal(repr(settings.usd_per_cpu_hour)))
    candidate = Candidate(name="student", provider="local", model="student", price=price)
    model = LocalModel.from_config(candidate, ProviderSettings(extra=extra, timeout_s=600.0))
    for batch in _batches(rows):
        yield asyncio.run(_by_model(model, batch))


async def _by_model(model: Model, rows: Sequence[Row]) -> list[Told]:
    found = []
    for row in rows:
        answer = await model.answer(Query(text=row.query), Options(fields={"logprobs": True}))
        found.append(
            Told(
                id=row.id,
                text=answer.content,
                confidence=_sure(answer.logprobs),
                usd=None if answer.cost_usd is None else float(answer.cost_usd),
                latency_s=answer.latency_s,
            )
        )
    return found


def _asked(rows: Sequence[Row], name: str, work: Work) -> dict[str, Told]:
    """By a model of the panel; its journal is the one of paid calls."""
    settings: Evaluating = work.settings
    wish = Collecting(file="-", logprobs=1, concurrency=settings.concurrency, fields={"temperature": 0})
    shard = Shard(
        project=msgspec.structs.replace(work.project, teacher=name),
        settings=wish,
        rows=[msgspec.structs.replace(row, samples=()) for row in rows],
        journal=work.journals / f"evaluate-{name}.jsonl",
        limit_usd=Decimal(repr(work.project.limits.usd)),
    )
    found = {}
    for row in ask_shard(shard, work.on_step).rows:
        one = row.samples[0]
        usd = None if one.cost_usd is None else float(one.cost_usd)
        found[row.id] = Told(
            id=row.id, text=one.text, confidence=_sure(one.logprobs), usd=usd, latency_s=one.latency_s
        )
    return found


def _sure(logprobs: Sequence[TokenLogprob] | None) -> float | None:
    return float(np.exp(np.mean([one.logprob for one in logprobs]))) if logprobs else None


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


def _read(journal: Path) -> dict[str, Told]:
    """Whole lines; a last one that was cut off is left out, and cut off the file."""
    try:
        data = journal.read_bytes()
    except OSError:
        return {}
    end = data.rfind(b"\n") + 1
    if end < len(data):
        with journal.open("r+b") as file:
            file.truncate(end)
    found = (msgspec.json.decode(line, type=Told) for line in data[:end].splitlines())
    return {one.id: one for one in found}
