"""Rating with a judge: gold rows measure it, decoys catch it, and its verdicts are corrected."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from suffice.datasets.judging import rating
from suffice.distillation.collecting.forgetting import about
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.flywheel.work import Result, Work
from suffice.distillation.judging.asking import Question, Replies, ask_judge, draw, journal_of, shown
from suffice.distillation.judging.decoys import Decoys, decoys_for, said_yes
from suffice.distillation.judging.error_matrix import Correction, ErrorMatrix, correct
from suffice.distillation.judging.settings import Judging
from suffice.errors import DataError

_WIDE: Final = 0.5
"""An interval as wide tells nothing."""


def rated(rows: Sequence[Row], work: Work) -> tuple[list[Row], Result]:
    """Every row without a score, gold rows to measure the judge, and decoys to catch it."""
    settings: Judging = work.settings
    asked = [row for row in rows if row.score is None]
    drawn = sorted(
        (row for row in rows if row.score is not None and row.reference), key=lambda row: draw(row.id)
    )
    gold = drawn[: settings.gold]
    decoys = decoys_for(rows, settings.decoys) if asked or gold else []
    questions = [_question(row, "row", row.label or "", work) for row in (*gold, *asked)]
    questions += [_question(row, "decoy", label, work) for row, label in decoys]
    if not asked:
        return list(rows), Result(notes=("every row has a verifier's score: the judge was not asked",))
    said, n_unanswered, spent = ask_judge(questions, work, rating)
    verdicts = {row.id: _verdict(said, "row", row.id, settings) for row in (*gold, *asked)}
    caught = said_yes([_verdict(said, "decoy", row.id, settings)[0] for row, _ in decoys])
    known = [(verdicts[row.id][0], row.score) for row in gold]
    pairs = [(level, score >= 0.5) for level, score in known if level is not None and score is not None]
    matrix = ErrorMatrix.of([level for level, _ in pairs], [good for _, good in pairs])
    notes = _check_judge(caught, matrix, work)
    levels = [level for row in asked if (level := verdicts[row.id][0]) is not None]
    correction = correct(matrix, levels, seed=work.project.seed) if matrix.is_enough and levels else None
    by_id = {row.id: _judged(row, *verdicts[row.id], correction, settings) for row in asked}
    notes += _told(matrix, correction, n_unanswered)
    replies = [text for both in said.values() for text in both if text is not None]
    unread = sum(rating(text) is None for text in replies)
    if unread:
        notes.append(
            f"{unread:,} of {len(replies):,} replies of the judge could not be read: they say nothing"
        )
    counts = _judge_counts(matrix, caught, correction, spent, len(asked))
    result = Result(counts=counts, notes=tuple(notes), is_partial=n_unanswered > 0)
    return [by_id.get(row.id, row) for row in rows], result


def _question(row: Row, kind: Any, answer: str, work: Work) -> Question:
    return Question(
        id=row.id,
        kind=kind,
        question=shown(row.query, work.project),
        answers=(answer,),
        journal=journal_of(row, work.settings),
        about=None if kind == "decoy" else about(row),
    )


def _verdict(said: Replies, kind: str, name: str, settings: Judging) -> tuple[int | None, float | None]:
    """How many of two ratings pass, and their mean; None unless both were given."""
    ratings = [rating(text) if text is not None else None for text in said[kind, name]]
    given = [value for value in ratings if value is not None]
    if len(given) < 2:
        return None, None
    return sum(value >= settings.pass_at for value in given), sum(given) / len(given)


def _judged(
    row: Row, level: int | None, mean: float | None, correction: Correction | None, settings: Judging
) -> Row:
    if level is None or mean is None:
        return row
    meta = dict(row.meta) | {"verdict": level, "rating": round(mean, 4)}
    score = mean if correction is None else correction.worth[level]
    return msgspec.structs.replace(row, score=score, judged_by=f"judge:{settings.model}", meta=meta)


def _check_judge(caught: Decoys, matrix: ErrorMatrix, work: Work) -> list[str]:
    """Raise a DataError for a judge whose verdicts tell nothing, unless it is forced."""
    settings: Judging = work.settings
    said = None
    if matrix.is_useless:
        said = (
            f"the judge {settings.model!r} says yes to {matrix.sensitivity[0]:.0%} of good and "
            f"{1 - matrix.specificity[0]:.0%} of wrong answers ({matrix.n} gold rows): it cannot tell the two"
        )
    elif caught.says_always_yes and not (matrix.is_enough and matrix.youden > 0.3):
        said = (
            f"the judge {settings.model!r} says yes to {caught.n_yes} of {caught.n} answers that belong to "
            "other queries: it would say yes to anything"
        )
    if said is None:
        same = settings.model == work.project.teacher
        return (
            [f"the judge {settings.model!r} is the teacher: models prefer their own answers"] if same else []
        )
    if not settings.force:
        raise DataError(f"{said}; take another judge or a metric, or set judge.force")
    return [said]


def _told(matrix: ErrorMatrix, correction: Correction | None, n_unanswered: int) -> list[str]:
    notes = []
    if correction is not None:
        low, high = correction.interval
        raw, share = f"{correction.raw_share:.1%}", f"{correction.share_good:.1%}"
        said = f"it accepts {raw} of the rest; corrected, {share}" if raw != share else f"{raw} of the rest"
        notes.append(
            f"measured on {matrix.n} gold rows, the judge accepts {matrix.sensitivity[0]:.0%} of good and "
            f"{1 - matrix.specificity[0]:.0%} of wrong answers; {said} ({low:.1%} to {high:.1%}) are good"
        )
        if high - low > _WIDE:
            few, kind = min((sum(matrix.bad), "wrong"), (sum(matrix.good), "good"))
            notes.append(f"that is nearly nothing: {few} gold rows have {kind} answers, and more are needed")
    else:
        notes.append(
            f"{matrix.n} gold rows are too few to measure the judge (20, with 3 good and 3 wrong answers, "
            "are needed): its ratings are taken as they are"
        )
    if n_unanswered:
        notes.append(f"{n_unanswered:,} calls of the judge have no reply; the same command tries them again")
    return notes


def _judge_counts(
    matrix: ErrorMatrix, caught: Decoys, correction: Correction | None, spent: Decimal, n_asked: int
) -> dict[str, Any]:
    return {
        "judge": {
            "asked": n_asked,
            "spent_usd": str(spent),
            "error_matrix": msgspec.to_builtins(matrix),
            "sensitivity": matrix.sensitivity if sum(matrix.good) else None,
            "specificity": matrix.specificity if sum(matrix.bad) else None,
            "decoys": msgspec.to_builtins(caught),
            "correction": msgspec.to_builtins(correction),
        }
    }
