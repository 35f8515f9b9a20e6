"""The stage `baseline`: every rung answers the held rows; says where one of them is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from suffice.distillation.assessing.answers import ANSWERS, TEACHER, Said, column, table, teachers
from suffice.distillation.assessing.figures import contestant
from suffice.distillation.assessing.grading import Grader
from suffice.distillation.baselines.rungs import asked_rungs, head_rungs, majority
from suffice.distillation.baselines.settings import Baselines
from suffice.distillation.flywheel import panel
from suffice.distillation.flywheel.rows import FAULT, TEST, TRAIN, VALIDATION, Row, write_lines
from suffice.distillation.flywheel.work import Result, Stage, Work
from suffice.errors import DataError
from suffice.metrics import paired_lower_bound

_LEAST_TO_STOP = 100
"""Validation rows by which a rung may be found good enough."""


def baseline(work: Work) -> Result:
    """`answers.jsonl` with the teacher's answers and those of all rungs, on validation and test rows.

    Raises
    ------
    DataError
        If no held row can be graded.
    """
    rows = work.rows("curate")
    notes: list[str] = []
    train = [row for row in rows if row.part == TRAIN]
    grader = Grader(work.project.task, [row for row in rows if row.part != TRAIN])
    held = [row for row in rows if row.part != TRAIN and grader.is_usable(row)]
    if not held:
        raise DataError("no held row has both a label and something to grade answers by")
    said = list(_answered(train, held, grader, work, notes))
    write_lines(said, work.out / ANSWERS)
    given = Counter(one.who for one in said)
    missing = {who: len(held) - n for who, n in given.items() if who != TEACHER and n < len(held)}
    notes += [
        f"{who}: {n:,} of {len(held):,} rows have no answer; the same command asks for those again"
        for who, n in missing.items()
    ]
    shown = {
        part: {who: contestant(own) for who, own in table(said, part, _of(held, part)).items()}
        for part in (VALIDATION, TEST)
        if _of(held, part)
    }
    enough = _enough(said, _of(held, VALIDATION), work)
    stops = enough is not None and work.settings.stop_if_enough
    notes += [] if grader.note is None else [grader.note]
    failed = sum(FAULT in row.meta for row in held)
    if failed:
        notes.append(
            f"{failed:,} of {len(held):,} held rows have no usable answer of the teacher: it is wrong there"
        )
    return Result(
        counts={
            "held": {part: len(_of(held, part)) for part in shown},
            "by_gold": grader.by_gold,
            "quality": {
                part: {who: round(one.quality, 4) for who, one in found.items()}
                for part, found in shown.items()
            },
            "usd_per_1k": {who: one.usd_per_1k for who, one in shown.get(TEST, {}).items()},
            "p50_s": {who: one.p50_s for who, one in shown.get(TEST, {}).items()},
            "interval": {who: one.interval for who, one in shown.get(TEST, {}).items()},
        },
        notes=tuple(dict.fromkeys([*notes, *([enough] if enough and not stops else [])])),
        stop=enough if stops else None,
        is_partial=bool(missing),
    )


def _of(rows: Sequence[Row], part: str) -> list[Row]:
    return [row for row in rows if row.part == part]


def _answered(
    train: Sequence[Row], held: Sequence[Row], grader: Grader, work: Work, notes: list[str]
) -> Iterator[Said]:
    settings: Baselines = work.settings
    for row, text, facts in teachers(held):
        yield grader.said(TEACHER, row, row.part or TEST, text, **facts)
    rungs = []
    if work.project.task.kind != "generate":
        rungs += [rung for rung in (majority(train, held),) if rung is not None]
        rungs += head_rungs(train, held, work.project.task, settings, notes.append)
    rungs += asked_rungs(train, held, work.project, settings, work.journals, work.on_step)
    for rung in rungs:
        for row in held:
            if row.id in rung.answers:
                text, facts = rung.answers[row.id]
                yield grader.said(rung.name, row, row.part or TEST, text, **facts)


def _enough(said: Sequence[Said], rows: Sequence[Row], work: Work) -> str | None:
    """The cheapest rung that is surely within the margin of the teacher, in a sentence."""
    by_who = table(said, VALIDATION, rows)
    if len(rows) < _LEAST_TO_STOP or TEACHER not in by_who:
        return None
    margin, clusters = work.project.margin, [row.cluster or row.id for row in rows]
    teacher = column(by_who[TEACHER], "quality")
    teacher_usd = column(by_who[TEACHER], "usd").mean()
    good: dict[str, tuple[float, float]] = {}
    for who, own in by_who.items():
        usd = column(own, "usd").mean()
        low = paired_lower_bound(column(own, "quality") - teacher, clusters=clusters)
        if who != TEACHER and low > -margin and not (usd >= teacher_usd):
            good[who] = (float(np.nan_to_num(usd)), low)
    if not good:
        return None
    who = min(good, key=lambda name: good[name][0])
    worse = max(-good[who][1], 0.0)
    return (
        f"{who} is enough: on {len(rows)} validation rows it is at most {worse:.1%} worse than the teacher "
        f"(margin {margin:.1%}) and cheaper; nothing needs to be tuned (`--past-stops` goes on)"
    )


STAGE = Stage(
    name="baseline",
    run=baseline,
    version=2,
    settings=Baselines,
    needs=("curate",),
    reads=("task", "margin"),
    aside=("concurrency",),
    sources=lambda project, own, now: panel.source(project, own.model),
)
