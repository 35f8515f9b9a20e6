"""The rungs themselves: the most frequent label, linear heads, an untuned model with and without examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from suffice import embedders
from suffice.distillation.assessing.answers import cost_usd
from suffice.distillation.baselines.settings import Baselines
from suffice.distillation.collecting.asked import Shard, ask_shard
from suffice.distillation.collecting.settings import Collecting
from suffice.distillation.flywheel.project import Project, Task
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.flywheel.work import Step, quiet
from suffice.distillation.students import open_student
from suffice.distillation.trainers.base import CLASSIFY, Course
from suffice.distillation.trainers.head import HeadSettings, HeadTrainer
from suffice.distillation.trainers.loop import Say
from suffice.errors import ConfigError, DataError

Facts = Mapping[str, Any]
"""confidence, usd and latency_s of an answer."""


@dataclass(frozen=True)
class Rung:
    """One rung's answers to held rows, by id; rows without an answer are missing."""

    name: str
    answers: Mapping[str, tuple[str, Facts]]


def majority(train: Sequence[Row], held: Sequence[Row]) -> Rung | None:
    """Always the most frequent label; None without any."""
    counts = Counter(row.label for row in train if row.label)
    if not counts:
        return None
    label, n = counts.most_common(1)[0]
    sure = n / counts.total()
    facts = {"confidence": sure, "usd": 0.0, "latency_s": 0.0}
    return Rung("majority", {row.id: (label or "", facts) for row in held})


def head_rungs(
    train: Sequence[Row], held: Sequence[Row], task: Task, settings: Baselines, say: Say
) -> Iterator[Rung]:
    """A linear head for each entry of `heads`, trained on the spot; one that cannot be trained is said.

    Raises
    ------
    ConfigError
        If a head is none.
    """
    for name in settings.heads:
        if name not in ("words", "vectors"):
            raise ConfigError(f"baseline.heads has {name!r}; known: words, vectors", key="baseline.heads")
        own = HeadSettings() if name == "words" else HeadSettings(
            embedder=settings.embedder, embedder_params=settings.embedder_params, features=None
        )  # fmt: skip
        with TemporaryDirectory() as folder:
            try:
                HeadTrainer(own).train(Course(train, (), task, Path(folder), say))
            except DataError as error:
                say(f"no head on {name}: {error}")
                continue
            said = open_student(folder).answer([row.query for row in held])
        facts = [
            {"confidence": sure, "usd": cost_usd(cpu, settings.usd_per_cpu_hour), "latency_s": wall}
            for sure, cpu, wall in zip(
                said.confidence.tolist(), said.cpu_s.tolist(), said.latency_s.tolist(), strict=True
            )
        ]
        yield Rung(f"head_{name}", {
            row.id: (text, fact) for row, text, fact in zip(held, said.texts, facts, strict=True)
        })  # fmt: skip


def asked_rungs(
    train: Sequence[Row],
    held: Sequence[Row],
    project: Project,
    settings: Baselines,
    journals: Path,
    on_step: Step = quiet,
) -> Iterator[Rung]:
    """The model without examples, with the nearest training rows as examples, and with other instructions.

    Every call stands in a journal: what was answered is not paid for again.
    """
    if settings.model is None:
        return
    yield _asked("zero_shot", held, project, settings, journals, on_step)
    if settings.k and train:
        near = _nearest(train, held, settings)
        shown = [_with_examples(*both) for both in zip(held, near, strict=True)]
        yield _asked("few_shot", shown, project, settings, journals, on_step)
    for name, instruction in settings.prompts.items():
        task = msgspec.structs.replace(project.task, instruction=instruction)
        other = msgspec.structs.replace(project, task=task)
        yield _asked(f"prompt_{name}", held, other, settings, journals, on_step)


def _asked(
    name: str, rows: Sequence[Row], project: Project, settings: Baselines, journals: Path, on_step: Step
) -> Rung:
    assert settings.model is not None
    wish = Collecting(
        file="-",
        max_tokens=_most(project.task, settings),
        logprobs=1,
        concurrency=settings.concurrency,
        fields={"temperature": 0},
    )
    shard = Shard(
        project=msgspec.structs.replace(project, teacher=settings.model),
        settings=wish,
        rows=[msgspec.structs.replace(row, samples=()) for row in rows],
        journal=journals / f"baseline-{name}.jsonl",
        limit_usd=None,
    )
    found = ask_shard(shard, on_step)
    answers = {}
    for row in found.rows:
        one = row.samples[0]
        sure = float(np.exp(np.mean([t.logprob for t in one.logprobs]))) if one.logprobs else None
        usd = None if one.cost_usd is None else float(one.cost_usd)
        answers[row.id] = (one.text, {"confidence": sure, "usd": usd, "latency_s": one.latency_s})
    return Rung(name, answers)


def _most(task: Task, settings: Baselines) -> int:
    return min(settings.max_tokens, 16) if task.kind == CLASSIFY else settings.max_tokens


def _nearest(train: Sequence[Row], held: Sequence[Row], settings: Baselines) -> list[list[Row]]:
    """For each held row its k nearest training rows with a label, the nearest last."""
    known = [row for row in train if row.label]
    embedder = embedders.create(settings.embedder, **settings.embedder_params)
    theirs, own = (embedder.embed([row.query for row in rows]) for rows in (known, held))
    order = np.argsort(-(own @ theirs.T), axis=1, kind="stable")[:, : settings.k]
    return [[known[place] for place in reversed(places)] for places in order.tolist()]


def _with_examples(row: Row, near: Sequence[Row]) -> Row:
    shown = [
        turn
        for one in near
        for turn in ({"role": "user", "content": one.query}, {"role": "assistant", "content": one.label})
    ]
    return msgspec.structs.replace(row, messages=(*shown, *row.asked().chat()))
