"""How good an answer is: against gold where there is gold, else against what the teacher said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suffice.distillation.assessing.answers import TEACHER, Said
from suffice.distillation.flywheel.answers import key_of, label_of
from suffice.distillation.flywheel.project import Task
from suffice.distillation.flywheel.rows import FAULT, Row
from suffice.distillation.judging.verifying import Verifier

_LEAST_GOLD = 0.5
"""Share of the held rows that must have a reference to be judged by it."""


class Grader:
    """Grades answers to the rows of one task."""

    def __init__(self, task: Task, rows: Sequence[Row]) -> None:
        """
        Parameters
        ----------
        rows : held ones; where at least half have a reference, these are what is right
        """
        self._task, self._verifier = task, Verifier(task)
        n_gold = sum(row.reference is not None for row in rows)
        self.by_gold = bool(rows) and n_gold >= _LEAST_GOLD * len(rows)
        """Else quality is agreement with the teacher, whose own is 1 where it answered."""
        why = f"{n_gold:,} of {len(rows):,} held rows have gold answers, fewer than half"
        said = f"{why if n_gold else 'no gold answers'}: quality is agreement with the teacher"
        self.note = None if self.by_gold else said

    def said(self, who: str, row: Row, part: str, text: str, **facts: Any) -> Said:
        """An answer with its grades; where the teacher failed it is wrong, and without gold all are."""
        agrees = self.agrees(text, row)
        quality = self._verifier.score(text, row) if self.by_gold else agrees
        if FAULT in row.meta and (who == TEACHER or not self.by_gold):
            quality = 0.0
        return Said(who=who, id=row.id, part=part, text=text, quality=quality, agrees=agrees, **facts)

    def agrees(self, text: str, row: Row) -> float | None:
        """Whether an answer says what the teacher's label says; by the task's metric where it has one."""
        if not row.label:
            return None
        if self._task.kind == "classify":
            return float(key_of(label_of(text, self._task) or text) == key_of(row.label))
        like = Row(id=row.id, query=row.query, reference=row.label)
        found = self._verifier.score(text, like) if self._verifier.name is not None else None
        return float(key_of(text) == key_of(row.label)) if found is None else found

    def is_usable(self, row: Row) -> bool:
        """Whether answers to a row can be graded."""
        return row.reference is not None if self.by_gold else bool(row.label) or FAULT in row.meta
