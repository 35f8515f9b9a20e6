"""The stage `evaluate`: the student answers the held rows, and all contestants are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from suffice.datasets.judging import preference, verdict
from suffice.distillation.assessing.answers import ANSWERS, STUDENT, TEACHER, Said, read_said, table
from suffice.distillation.assessing.asking import answered
from suffice.distillation.assessing.figures import Assessment, assess
from suffice.distillation.assessing.grading import Grader
from suffice.distillation.assessing.report import markdown
from suffice.distillation.assessing.settings import Evaluating
from suffice.distillation.flywheel import panel
from suffice.distillation.flywheel.rows import TEST, TRAIN, Row, write_lines
from suffice.distillation.flywheel.work import Result, Stage, Work
from suffice.distillation.judging.asking import Question, ask_judge, journal_of, shown
from suffice.distillation.judging.settings import Judging
from suffice.errors import DataError

EVALUATION = "evaluation.json"
REPORT = "report.md"


def evaluate(work: Work) -> Result:
    """`answers.jsonl` (of all contestants, validation rows too), `evaluation.json` and `report.md`.

    Raises
    ------
    DataError
        If no test row can be graded.
    """
    rows = work.rows("curate")
    grader = Grader(work.project.task, [row for row in rows if row.part != TRAIN])
    others = read_said(work.inputs["baseline"] / ANSWERS)
    known = {(one.part, one.id) for one in others if one.who == TEACHER}
    held = [row for row in rows if (row.part, row.id) in known]
    test = [row for row in held if row.part == TEST]
    if not test:
        raise DataError("no test row has both a label and something to grade answers by")
    own = list(_graded(held, grader, work))
    said = [*others, *own]
    write_lines(said, work.out / ANSWERS)
    by_who = table(said, TEST, test)
    found = assess(by_who, test, by_gold=grader.by_gold, seed=work.project.seed)
    found, n_missing = _judged(found, by_who, test, work)
    (work.out / EVALUATION).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    (work.out / REPORT).write_text(markdown(found, f"The student against {work.project.teacher}"), "utf-8")
    mine, duel = found.contestants[STUDENT], found.duels.get(TEACHER)
    return Result(
        counts={
            "test": len(test),
            "by_gold": found.by_gold,
            "quality": {who: round(one.quality, 4) for who, one in found.contestants.items()},
            "agreement": mine.agreement,
            "difference": None if duel is None else duel.difference,
            "interval": None if duel is None else duel.interval,
            "cost_ratio": None if duel is None else duel.cost_ratio,
            "speed_up": None if duel is None else duel.speed_up,
            "ece": mine.ece,
            "win_rate": found.win_rate,
        },
        notes=found.notes,
        is_partial=n_missing > 0,
    )


def _graded(held: Sequence[Row], grader: Grader, work: Work) -> Iterator[Said]:
    answers = answered(held, work)
    for row in held:
        one = answers.get(row.id)
        if one is None:
            raise DataError(f"the student has no answer to row {row.id!r}: the same command asks again")
        yield grader.said(
            STUDENT,
            row,
            row.part or TEST,
            one.text,
            confidence=one.confidence,
            usd=one.usd,
            latency_s=one.latency_s,
        )


def _judged(
    found: Assessment, said: dict[str, list[Said]], rows: Sequence[Row], work: Work
) -> tuple[Assessment, int]:
    """With the judge's word on pairs of which the two say different things; equal ones are ties.

    And how many of its calls have no reply.
    """
    settings: Evaluating = work.settings
    n_missing = 0
    if settings.judge is None or TEACHER not in said:
        return found, n_missing
    wish = Judging(model=settings.judge)
    both = list(zip(rows, said[STUDENT], said[TEACHER], strict=True))[: settings.judged]
    differ = [(row, own, theirs) for row, own, theirs in both if own.text.strip() != theirs.text.strip()]
    questions = [
        Question(
            id=row.id,
            kind="pair",
            question=shown(row.query, work.project),
            answers=(own.text, theirs.text),
            journal=f"evaluate-{journal_of(row, wish)}",
        )
        for row, own, theirs in differ
    ]
    values = [0.5] * (len(both) - len(differ))
    if questions:
        replies, n_missing, _ = ask_judge(questions, msgspec.structs.replace(work, settings=wish), verdict)
        for row, _, _ in differ:
            straight, swapped = replies["pair", row.id]
            value = None if straight is None or swapped is None else preference(straight, swapped)
            if value is not None:
                values.append(1 - value)
        if n_missing:
            found = msgspec.structs.replace(
                found,
                notes=(
                    *found.notes,
                    f"the judge gave no word {n_missing:,} times; the same command asks again",
                ),
            )
    rate = sum(values) / len(values) if values else None
    return msgspec.structs.replace(found, win_rate=rate, n_judged=len(values)), n_missing


STAGE = Stage(
    name="evaluate",
    run=evaluate,
    version=3,
    settings=Evaluating,
    needs=("curate", "baseline", "train"),
    reads=("task", "teacher", "seed"),
    aside=("concurrency",),
    sources=lambda project, own, now: panel.source(project, own.judge, own.panel),
)
