"""The stage `judge`: a label for every row, and how good it is, by the surest means there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from suffice.distillation.flywheel.answers import fault
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import FAULT, ROWS, Row, write_lines, write_rows
from suffice.distillation.flywheel.work import Result, Stage, Work
from suffice.distillation.judging.choosing import Choice, choose
from suffice.distillation.judging.pairing import PAIRS, Pair, paired, verified_pairs
from suffice.distillation.judging.rating import rated
from suffice.distillation.judging.settings import Judging
from suffice.distillation.judging.verifying import Verifier
from suffice.errors import ConfigError, DataError


def judge(work: Work) -> Result:
    """Labels by vote; scores by a verifier, else a measured judge, else feedback, else agreement.

    Raises
    ------
    DataError
        If the judge was found to say yes to anything, or no row has a usable answer.
    """
    settings: Judging = work.settings
    verifier = Verifier(work.project.task, settings.pattern)
    chosen: dict[str, Choice] = {}
    rows: list[Row] = []
    pairs: list[Pair] = []
    failed: list[Row] = []
    for row in work.rows("collect"):
        choice = choose(row, work.project.task)
        if choice is None:
            failed.append(_failed(row))
        else:
            chosen[row.id] = choice
            rows.append(_verified(row, choice, verifier))
    if not rows:
        raise DataError("no row has an answer that can be learnt from")
    counts: dict[str, Any] = {"rows": len(rows), "without_label": len(failed)}
    notes: list[str] = []
    is_partial = False
    if settings.model is not None:
        if settings.mode == "pair":
            rows, pairs, told = paired(rows, chosen, work)
        else:
            rows, told = rated(rows, work)
        counts |= told.counts
        notes += told.notes
        is_partial = told.is_partial
    pairs += verified_pairs(rows, chosen, verifier)
    rows = [_otherwise(row, chosen[row.id]) for row in rows]
    counts |= _summary(rows)
    write_rows([*rows, *failed], work.out / ROWS)
    write_lines(pairs, work.out / PAIRS)
    unknown = counts["unjudged"]
    if unknown:
        notes.append(f"{unknown:,} rows have no score: {_why_unknown(settings)}")
    return Result(counts=counts | {"pairs": len(pairs)}, notes=tuple(notes), is_partial=is_partial)


def _failed(row: Row) -> Row:
    """Nothing can be learnt from it; as a held row it is one that the teacher got wrong."""
    why = fault(row.samples[0]) if row.samples else "empty"
    meta = dict(row.meta) | {FAULT: why or "no label of the task"}
    return msgspec.structs.replace(row, label=None, score=0.0, judged_by="fault", meta=meta)


def _verified(row: Row, choice: Choice, verifier: Verifier) -> Row:
    score = verifier.score(row.samples[choice.sample].text, row)
    by = f"metric:{verifier.name or 'pattern'}"
    meta = dict(row.meta) | {"sample": choice.sample}
    if choice.agreement is not None:
        meta["agreement"] = choice.agreement
    return msgspec.structs.replace(
        row, label=choice.label, score=score, judged_by=None if score is None else by, meta=meta
    )


def _otherwise(row: Row, choice: Choice) -> Row:
    """Where neither verifier nor judge spoke: the user's feedback, a recorded score, or agreement."""
    if row.score is not None:
        return row
    for name in ("feedback", "score"):
        value = row.meta.get(name)
        if isinstance(value, int | float) and 0 <= value <= 1:
            by = "feedback" if name == "feedback" else "recorded"
            return msgspec.structs.replace(row, score=float(value), judged_by=by)
    if choice.agreement is not None:
        return msgspec.structs.replace(row, score=choice.agreement, judged_by="agreement")
    return row


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    by: dict[str, int] = {}
    for row in rows:
        if row.judged_by is not None:
            by[row.judged_by] = by.get(row.judged_by, 0) + 1
    known = [row.score for row in rows if row.score is not None]
    return {
        "judged_by": by,
        "unjudged": len(rows) - len(known),
        "mean_score": round(sum(known) / len(known), 4) if known else None,
    }


def _why_unknown(settings: Judging) -> str:
    if settings.model is None:
        return "no reference, no judge and a single answer"
    return "no reference, a single answer, and no word of the judge"


def check(project: Project) -> None:
    """Whether there is such a metric, and the pattern is one.

    Raises
    ------
    ConfigError, UnknownName
        As `judge`.
    """
    Verifier(project.task, project.settings("judge", Judging).pattern)


def _sources(project: Project, settings: Judging, now: float) -> Mapping[str, str]:
    """Before anything is asked: a judge must be in the panel."""
    if settings.model is not None:
        from suffice.distillation.flywheel import panel

        if settings.model not in panel.entries(project):
            known = ", ".join(panel.entries(project))
            raise ConfigError(
                f"judge.model: {settings.model!r} is not in the panel of {project.config_path}; "
                f"it has {known}",
                key="judge.model",
            )
    return {}


STAGE = Stage(
    name="judge",
    run=judge,
    version=2,
    settings=Judging,
    needs=("collect",),
    reads=("task", "teacher", "seed"),
    aside=("concurrency", "timeout_s", "retries"),
    sources=_sources,
    check=check,
)
