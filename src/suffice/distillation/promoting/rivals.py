"""What could be had without this training, at no more than what is served costs: the gate's baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from suffice.metrics import paired_lower_bound
from suffice.providers.student_card import StudentCard
from suffice.types import BoolArray, FloatArray

_DEARER: Final = 2.0
"""A rung up to so many times as dear as what is served counts: CPU seconds are measured no finer."""
_NOTHING: Final = 0.01
"""And any whose cost is at most this share of the teacher's: beside it both cost nothing."""


@dataclass(frozen=True, eq=False)
class Rung:
    """One rung's answers to n rows; both (n,)."""

    quality: FloatArray
    usd: FloatArray
    """NaN where it is not known."""

    def select(self, rows: BoolArray) -> Rung:
        """Some rows."""
        return Rung(self.quality[rows], self.usd[rows])


def rivals(rungs: Mapping[str, Rung], served_usd: FloatArray, teacher_usd: FloatArray) -> dict[str, Rung]:
    """Those that are no dearer than what is served.

    A dearer one that is better is a reason to ask it, not to stop this student. One of unknown cost counts.

    Parameters
    ----------
    served_usd, teacher_usd : shape (n,), of each answer
    """
    served, teacher = float(np.mean(served_usd)), float(np.mean(teacher_usd))
    limit = np.nanmax([_DEARER * served, _NOTHING * teacher]) if not np.isnan(served) else np.inf
    return {name: rung for name, rung in rungs.items() if not float(np.mean(rung.usd)) > limit}


def without_own(
    rungs: Mapping[str, Rung],
    card: StudentCard,
    student: FloatArray,
    *,
    alpha: float,
    clusters: tuple[str, ...] | None = None,
) -> dict[str, Rung]:
    """Without the rung that is a student of the same sort, unless that is surely better than this one.

    A head need not be better than a head; but where the rung's is better, that is the one to take.
    """
    own = _sort_of(card)
    return {
        name: rung
        for name, rung in rungs.items()
        if name != own or paired_lower_bound(rung.quality - student, alpha=alpha, clusters=clusters) > 0
    }


def _sort_of(card: StudentCard) -> str | None:
    if card.kind != "head":
        return None
    return "head_vectors" if card.settings.get("features", "both") is None else "head_words"
