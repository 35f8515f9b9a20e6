"""Rows that student and teacher both answered: what was said, how good it was, what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from suffice.cascades import Recorded
from suffice.errors import DataError
from suffice.outcomes import Outcomes
from suffice.types import BoolArray, FloatArray, IntArray

SIGNAL: Final = "normalised_probability"
"""What a student says its answer's probability is; read live from the answer's own log-probabilities."""


@dataclass(frozen=True, eq=False)
class Paired:
    """n rows; all arrays are (n,)."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    student: FloatArray
    """Quality of its answers, in [0, 1]."""
    teacher: FloatArray
    confidence: FloatArray
    """The student's, in [0, 1]."""
    student_usd: FloatArray
    """Cost of its answers; NaN where it is not known."""
    teacher_usd: FloatArray
    clusters: tuple[str, ...] = ()
    """What rows that say nearly the same share; empty: every row stands for itself."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        columns = (
            self.texts,
            self.student,
            self.teacher,
            self.confidence,
            self.student_usd,
            self.teacher_usd,
        )
        if any(len(column) != n for column in columns) or len(self.clusters) not in (0, n):
            raise DataError(f"{n} ids, and columns of other lengths: every row needs all of them")

    def __len__(self) -> int:
        return len(self.ids)

    def groups(self) -> tuple[str, ...]:
        """Clusters; of rows that have none, their own ids."""
        return self.clusters or self.ids

    def select(self, rows: IntArray | BoolArray) -> Paired:
        """Some rows, in the order given."""
        places: Sequence[int] = np.arange(len(self))[rows].tolist()
        return Paired(
            ids=tuple(self.ids[place] for place in places),
            texts=tuple(self.texts[place] for place in places),
            student=self.student[rows],
            teacher=self.teacher[rows],
            confidence=self.confidence[rows],
            student_usd=self.student_usd[rows],
            teacher_usd=self.teacher_usd[rows],
            clusters=tuple(self.clusters[place] for place in places) if self.clusters else (),
        )

    def recorded(self, student: str, teacher: str) -> Recorded:
        """As a cascade reads it. Costs that are not known are taken to be the mean, or nothing and 1 USD."""
        costs = [_filled(self.student_usd, 0.0), _filled(self.teacher_usd, 1.0)]
        outcomes = Outcomes.from_arrays(
            self.texts,
            [student, teacher],
            np.column_stack([self.student, self.teacher]),
            cost_usd=np.column_stack(costs),
        )
        unread = np.full(len(self), np.nan)  # nobody asks how sure the last of a chain is
        return Recorded.of(outcomes, {SIGNAL: np.column_stack([self.confidence, unread])})


def _filled(values: FloatArray, otherwise: float) -> FloatArray:
    known = values[~np.isnan(values)]
    return np.where(np.isnan(values), known.mean() if len(known) else otherwise, values)
