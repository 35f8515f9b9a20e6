"""Pairs of a teacher's answers: which of two is better, by a judge in both orders or by a verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from suffice.datasets.judging import preference, verdict
from suffice.distillation.collecting.forgetting import about
from suffice.distillation.flywheel.answers import label_of
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.flywheel.work import Result, Work
from suffice.distillation.judging.asking import Question, ask_judge, journal_of, shown
from suffice.distillation.judging.choosing import Choice
from suffice.distillation.judging.settings import Judging
from suffice.distillation.judging.verifying import Verifier

PAIRS = "pairs.jsonl"


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers of the teacher to one query, for trainers that learn from preferences."""

    id: str
    query: str
    chosen: str
    rejected: str
    preference: float
    """For the chosen one, in (0.5, 1]."""
    judged_by: str


def paired(
    rows: Sequence[Row], chosen: Mapping[str, Choice], work: Work
) -> tuple[list[Row], list[Pair], Result]:
    """Of rows with two different answers, the judge's word on which becomes the label."""
    settings: Judging = work.settings
    task = work.project.task
    asked = [row for row in rows if row.score is None and chosen[row.id].other is not None]
    others = {row.id: label_of(row.samples[chosen[row.id].other or 0].text, task) or "" for row in asked}
    questions = [
        Question(
            id=row.id,
            kind="pair",
            question=shown(row.query, work.project),
            answers=(row.label or "", others[row.id]),
            journal=journal_of(row, settings),
            about=about(row),
        )
        for row in asked
    ]
    if not questions:
        return list(rows), [], Result(notes=("no row has two different answers to compare",))
    said, n_unanswered, spent = ask_judge(questions, work, verdict)
    pairs: list[Pair] = []
    by_id: dict[str, Row] = {}
    for row in asked:
        straight, swapped = said["pair", row.id]
        value = None if straight is None or swapped is None else preference(straight, swapped)
        if value is not None:
            by_id[row.id], pair = _settled(row, others[row.id], value, f"judge:{settings.model}")
            pairs += [pair] if pair is not None else []
    counts = {"judge": {"asked": len(asked), "spent_usd": str(spent), "decided": len(pairs)}}
    notes = (f"{n_unanswered:,} calls of the judge have no reply",) if n_unanswered else ()
    result = Result(counts=counts, notes=notes, is_partial=n_unanswered > 0)
    return [by_id.get(row.id, row) for row in rows], pairs, result


def _settled(row: Row, other: str, value: float, by: str) -> tuple[Row, Pair | None]:
    """The row with the preferred answer; `value` is the preference for the other one."""
    label = row.label or ""
    won, lost = (other, label) if value > 0.5 else (label, other)
    sure = max(value, 1 - value)
    judged = msgspec.structs.replace(row, label=won, score=sure, judged_by=by)
    if sure == 0.5:
        return judged, None
    pair = Pair(id=row.id, query=row.query, chosen=won, rejected=lost, preference=sure, judged_by=by)
    return judged, pair


def verified_pairs(rows: Sequence[Row], chosen: Mapping[str, Choice], verifier: Verifier) -> list[Pair]:
    """Of rows where the verifier passes one of two different answers and not the other."""
    found = []
    for row in rows:
        other = chosen[row.id].other
        is_verified = row.judged_by is not None and row.judged_by.startswith("metric:")
        if other is None or not is_verified or row.score is None:
            continue
        mine, theirs = row.samples[chosen[row.id].sample].text, row.samples[other].text
        score = verifier.score(theirs, row)
        if score is not None and score != row.score:
            won, lost = (mine, theirs) if row.score > score else (theirs, mine)
            found.append(
                Pair(
                    id=row.id, query=row.query, chosen=won, rejected=lost, preference=1.0,
                    judged_by=row.judged_by or "",
                )
            )  # fmt: skip
    return found
