"""The stage `curate`: rows to a training, a validation and a test set that share nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from suffice import embedders
from suffice.distillation.curating.card import PartFigures, card, part_figures
from suffice.distillation.curating.closeness import Vectors, unit
from suffice.distillation.curating.diversity import choose
from suffice.distillation.curating.duplicates import Dropped, Likeness, clusters, without_duplicates
from suffice.distillation.curating.ifd import ModelLosses
from suffice.distillation.curating.leaks import LeakReport, leak_report
from suffice.distillation.curating.quality import fault, uninstructive
from suffice.distillation.curating.settings import Curating
from suffice.distillation.curating.splitting import assign
from suffice.distillation.curating.suspicious import injected
from suffice.distillation.curating.texts import text_of
from suffice.distillation.flywheel.answers import label_of
from suffice.distillation.flywheel.project import Task
from suffice.distillation.flywheel.rows import FAULT, PARTS, ROWS, TEST, TRAIN, Row, write_lines, write_rows
from suffice.distillation.flywheel.runner import MANIFEST
from suffice.distillation.flywheel.work import Manifest, Result, Stage, Work
from suffice.errors import DataError

LEAKS, DROPPED, CARD, FIGURES = "leaks.json", "dropped.jsonl", "card.md", "card.json"
_N_STEPS = 6


def curate(work: Work) -> Result:
    """Duplicates out, clusters to parts, bad rows out of training, a choice of it, and the leak report.

    Raises
    ------
    DataError
        If test rows were seen in training beyond the limit, or nothing or one class only is left to learn.
    """
    settings: Curating = work.settings
    task = work.project.task
    rows, dropped = _labelled(work.rows("judge"), settings, task)
    if not any(row.label for row in rows):
        raise DataError("no row has a label")
    _step(work, 1)
    vectors = _embedded([text_of(row) for row in rows], settings)
    likeness = Likeness.of(rows, vectors, settings)
    _step(work, 2)
    is_open = task.kind == "generate"
    kept, repeated = without_duplicates(rows, likeness, settings, is_open=is_open)
    rows, likeness = [rows[one] for one in kept], likeness.subset(kept)
    dropped += repeated
    _step(work, 3)
    rows = _parted(rows, likeness, settings, work)
    _step(work, 4)
    if settings.on_leak == "drop":
        rows, likeness, seen = _without_seen(rows, likeness, settings)
        dropped += seen
    rows, likeness, bad = _without_bad(rows, likeness, settings)
    dropped += bad
    _step(work, 5)
    chosen, spare = _chosen(rows, likeness, settings, is_open=is_open, seed=work.project.seed)
    dropped += spare
    rows, likeness = [rows[one] for one in chosen], likeness.subset(chosen)
    leaks = _leaks_of(rows, likeness, settings)
    return _written(_marked(rows, leaks), dropped, leaks, work, is_open=is_open)


def _step(work: Work, n: int) -> None:
    work.on_step(n, _N_STEPS, None)


def _labelled(rows: Sequence[Row], settings: Curating, task: Task) -> tuple[list[Row], list[Dropped]]:
    """With the word that is learnt; one without any goes, but where the teacher failed."""
    kept, dropped = [], []
    for row in rows:
        label = row.label
        if settings.labels == "gold" and row.reference is not None:
            label = label_of(row.reference, task) or row.reference
            row = msgspec.structs.replace(row, label=label, score=1.0, judged_by="gold")  # noqa: PLW2901
        if label or FAULT in row.meta:
            kept.append(row)
        else:
            dropped.append(Dropped(id=row.id, why="no label"))
    return kept, dropped


def _embedded(texts: Sequence[str], settings: Curating) -> Vectors:
    embedder = embedders.create(settings.embedder, **settings.embedder_params)
    return unit(np.asarray(embedder.embed(texts), np.float32))


def _parted(rows: Sequence[Row], likeness: Likeness, settings: Curating, work: Work) -> list[Row]:
    names = clusters(rows, likeness, settings)
    parts = assign(
        names,
        [row.part for row in rows],
        validation=settings.validation,
        test=settings.test,
        seed=work.project.seed,
    )
    return [
        msgspec.structs.replace(row, cluster=name, part=part)
        for row, name, part in zip(rows, names, parts, strict=True)
    ]


def _without_seen(
    rows: Sequence[Row], likeness: Likeness, settings: Curating
) -> tuple[list[Row], Likeness, list[Dropped]]:
    """Training and validation rows go that a test row was seen in."""
    report = _leaks_of(rows, likeness, settings, swapped=True)
    found = {train: test for train, (_, test) in report.found.items()}
    dropped: list[Dropped] = []
    while found:
        dropped += [Dropped(id=one, why="seen in test rows", of=test) for one, test in sorted(found.items())]
        kept = [number for number, row in enumerate(rows) if row.id not in found]
        rows, likeness = [rows[one] for one in kept], likeness.subset(kept)
        found = {train: test for test, (_, train) in _leaks_of(rows, likeness, settings).found.items()}
    return list(rows), likeness, dropped


def _marked(rows: Sequence[Row], leaks: LeakReport) -> list[Row]:
    """Test rows that were seen, and how, in `meta["leak"]`."""
    return [
        msgspec.structs.replace(row, meta=dict(row.meta) | {"leak": leaks.found[row.id][0]})
        if row.part == TEST and row.id in leaks.found
        else row
        for row in rows
    ]


def _leaks_of(
    rows: Sequence[Row], likeness: Likeness, settings: Curating, *, swapped: bool = False
) -> LeakReport:
    """Of test rows in all others: validation rows choose the student, and may not know them either.

    Swapped, of the others in test rows.
    """
    test = [number for number, row in enumerate(rows) if (row.part == TEST) != swapped]
    rest = [number for number, row in enumerate(rows) if (row.part == TEST) == swapped]
    return leak_report(
        [text_of(rows[one]) for one in test],
        [text_of(rows[one]) for one in rest],
        test_ids=[rows[one].id for one in test],
        train_ids=[rows[one].id for one in rest],
        near=settings.near,
        embedding=settings.embedding,
        vectors=(likeness.vectors[test], likeness.vectors[rest]) if settings.embedding < 1 else None,
        sketches=(likeness.sketches.subset(test), likeness.sketches.subset(rest)),
        limit=settings.leak_limit,
    )


def _without_bad(
    rows: Sequence[Row], likeness: Likeness, settings: Curating
) -> tuple[list[Row], Likeness, list[Dropped]]:
    """Training rows that are fit; other parts keep all theirs, with suspicious ones marked."""
    kept: list[int] = []
    dropped: list[Dropped] = []
    found = list(rows)
    for number, row in enumerate(rows):
        why = fault(row, settings) if row.part == TRAIN else None
        if why is not None:
            dropped.append(Dropped(id=row.id, why=why))
            continue
        if row.part != TRAIN and injected(row.query):
            found[number] = msgspec.structs.replace(row, meta=dict(row.meta) | {"suspicious": True})
        kept.append(number)
    if settings.ifd_model is not None:
        train = [rows[one] for one in kept if rows[one].part == TRAIN]
        dull = uninstructive(train, ModelLosses(settings.ifd_model), settings.ifd_share)
        gone = {one.id for one in dull}
        dropped += dull
        kept = [one for one in kept if rows[one].id not in gone]
    return [found[one] for one in kept], likeness.subset(kept), dropped


def _chosen(
    rows: Sequence[Row], likeness: Likeness, settings: Curating, *, is_open: bool, seed: int
) -> tuple[list[int], list[Dropped]]:
    """Which rows stay, with training within its budget."""
    train = [number for number, row in enumerate(rows) if row.part == TRAIN]
    if settings.budget is None or settings.budget >= len(train):
        return list(range(len(rows))), []
    labels = ["" if is_open else rows[one].label for one in train]
    taken = choose(
        likeness.vectors[train],
        labels,
        settings.budget,
        settings.diversity,
        balance=settings.balance,
        seed=seed,
    )
    spare = set(train) - {train[one] for one in taken}
    return (
        [number for number in range(len(rows)) if number not in spare],
        [Dropped(id=rows[one].id, why="not in the budget") for one in sorted(spare)],
    )


def _written(
    rows: Sequence[Row], dropped: Sequence[Dropped], leaks: LeakReport, work: Work, *, is_open: bool
) -> Result:
    parts = {part: part_figures([row for row in rows if row.part == part], is_open=is_open) for part in PARTS}
    reasons = dict(Counter(one.why for one in dropped).most_common())
    earlier = {name: _counts(work, name) for name in work.inputs}
    text = card(work.project, parts, reasons, leaks, earlier)
    write_rows(rows, work.out / ROWS)
    write_lines(dropped, work.out / DROPPED)
    (work.out / LEAKS).write_bytes(msgspec.json.format(msgspec.json.encode(leaks), indent=1))
    (work.out / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(parts), indent=1))
    (work.out / CARD).write_text(text, "utf-8")
    _step(work, _N_STEPS)
    settings: Curating = work.settings
    if leaks.is_above and settings.on_leak == "fail":
        raise DataError(_too_leaky(leaks, work))
    return Result(
        counts={
            "rows": len(rows),
            "parts": {name: one.n for name, one in parts.items()},
            "labels": parts[TRAIN].labels,
            "dropped": reasons,
            "leaks": {name: leak.n for name, leak in leaks.kinds.items()} | {"any": leaks.n_any},
            "leak_share": round(leaks.share, 5),
        },
        notes=tuple(_checked(parts, leaks, work, is_open=is_open)),
    )


def _counts(work: Work, stage: str) -> Mapping[str, Any]:
    return msgspec.json.decode((work.inputs[stage] / MANIFEST).read_bytes(), type=Manifest).counts


def _too_leaky(leaks: LeakReport, work: Work) -> str:
    kinds = ", ".join(f"{name} {leak.n:,}" for name, leak in leaks.kinds.items() if leak.n)
    return (
        f"{leaks.n_any:,} of {leaks.n_test:,} test rows ({leaks.share:.1%}) were seen in training ({kinds}), "
        f"more than curate.leak_limit ({leaks.limit:.1%}): set curate.on_leak to drop (their training rows) "
        f"or report; see {LEAKS} in {work.out.name.removeprefix('.part-')}.failed"
    )


def _checked(parts: Mapping[str, PartFigures], leaks: LeakReport, work: Work, *, is_open: bool) -> list[str]:
    """Notes; raises a DataError where nothing can be learnt."""
    n, notes = parts[TRAIN].n, []
    if n == 0:
        raise DataError("no training row is left: see dropped.jsonl for why")
    if not is_open and work.project.task.kind == "classify" and len(parts[TRAIN].labels) == 1:
        (only,) = parts[TRAIN].labels
        raise DataError(f"all {n:,} training rows have the label {only!r}: one class leaves nothing to learn")
    if n < work.project.limits.min_rows:
        notes.append(f"{n:,} training rows are left, fewer than {work.project.limits.min_rows:,}")
    unseen = [label for label in work.project.task.labels if label not in parts[TRAIN].labels]
    if unseen and not is_open:
        notes.append(f"no training row has the label {', '.join(unseen)}")
    if leaks.n_any:
        notes.append(f"{leaks.n_any:,} test rows ({leaks.share:.1%}) were seen in training; they are marked")
    return notes


STAGE = Stage(
    name="curate",
    run=curate,
    version=3,
    settings=Curating,
    needs=("collect", "judge"),
    reads=("task.kind", "task.labels", "teacher", "limits.min_rows", "seed"),
)
