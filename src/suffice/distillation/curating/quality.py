"""What a training row must be: judged good, of fair length, in a wanted language, no order to a model."""

from __future__ import annotations

from collections.abc import Sequence

from suffice.distillation.curating.duplicates import Dropped
from suffice.distillation.curating.ifd import Losses, difficulty, most_instructive
from suffice.distillation.curating.language import UNKNOWN, guess
from suffice.distillation.curating.settings import Curating
from suffice.distillation.curating.suspicious import injected
from suffice.distillation.flywheel.rows import FAULT, Row


def fault(row: Row, settings: Curating) -> str | None:
    """Why a row is not learnt from; None: it is."""
    if not row.label:
        return f"no label ({row.meta.get(FAULT, 'no answer')})"
    if row.score is None and settings.unjudged == "drop":
        return "not judged"
    if row.score is not None and row.score < settings.min_score:
        return "judged bad"
    if not settings.min_chars <= len(row.query) <= settings.max_chars:
        return "too short or too long"
    if injected(row.query) or injected(row.label or ""):
        return "orders to a model inside"
    if settings.languages and guess(row.query) not in (*settings.languages, UNKNOWN):
        return "another language"
    return None


def uninstructive(rows: Sequence[Row], losses: Losses, share: float) -> list[Dropped]:
    """Rows whose query does not help their answer, and the least instructive of the others."""
    ifd = difficulty([row.query for row in rows], [row.label or "" for row in rows], losses)
    kept = most_instructive(ifd, share)
    return [
        Dropped(id=row.id, why="query does not help its answer" if value >= 1 else "not instructive")
        for row, value, keep in zip(rows, ifd, kept, strict=True)
        if not keep
    ]
