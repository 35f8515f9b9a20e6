"""What to label next: queries that the student passed on, was unsure of, or would have answered otherwise.

References
----------
Lewis & Gale (1994), A sequential algorithm for training text classifiers: uncertainty sampling.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from suffice.distillation.curating.texts import bare, text_of
from suffice.distillation.flywheel.answers import key_of
from suffice.distillation.flywheel.rows import TEST, Row
from suffice.distillation.students import Student

Why = Literal["deferred", "disagreed", "unsure"]


class Pooled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a file that `collect` asks the teacher about."""

    query_id: str
    query: str
    why: Why
    confidence: float
    """The student's."""
    task: str | None = None
    user: str | None = None
    reference: str | None = None


def pool(
    student: Student,
    rows: Sequence[Row],
    *,
    n: int,
    threshold: float | None = None,
    known: Collection[str] = (),
) -> list[Pooled]:
    """The rows that would teach most: those where it does not say what the label says, the surest first; then
    those that it is least sure of.

    Parameters
    ----------
    rows : with or without labels. Test rows are never taken: what a student is judged by it must not learn
    n : at most so many
    threshold : the deferral's; below it rows are "deferred", above it "unsure". None: 1, all are deferred
    known : texts in training or testing already; their twins (`bare`) are left out, as all but one of twins
    """
    seen = {bare(text) for text in known}
    fresh = []
    for row in rows:
        key = bare(text_of(row))
        if row.part != TEST and key not in seen:
            seen.add(key)
            fresh.append(row)
    said = student.answer([row.query for row in fresh])
    cut = 1.0 if threshold is None else threshold
    found = []
    for row, text, sure in zip(fresh, said.texts, said.confidence.tolist(), strict=True):
        why: Why = "deferred" if sure < cut else "unsure"
        if row.label is not None and key_of(text) != key_of(row.label):
            why = "disagreed"
        found.append(
            Pooled(
                query_id=row.id, query=row.query, why=why, confidence=sure,
                task=row.task, user=row.subject, reference=row.reference,
            )
        )  # fmt: skip
    order = sorted(found, key=lambda one: (one.why != "disagreed", _worth(one), one.query_id))
    return order[:n]


def _worth(one: Pooled) -> float:
    return -one.confidence if one.why == "disagreed" else one.confidence
