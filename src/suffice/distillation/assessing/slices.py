"""Where a student errs: by what it should have said, by length, by its own confidence; with examples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from suffice.distillation.assessing.answers import Said, column
from suffice.distillation.flywheel.rows import Row
from suffice.metrics import wilson_interval
from suffice.types import BoolArray

_N_EXAMPLES = 3
_MOST_CLASSES = 20
_SHOWN = 160
_LEAST_TO_CUT = 40
"""Rows below which quarters would be noise."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is wrong though the student was sure."""

    id: str
    query: str
    wanted: str
    said: str
    confidence: float | None


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the rows."""

    name: str
    n: int
    quality: float
    interval: tuple[float, float]
    teacher: float | None
    """The teacher's quality on the same rows."""
    examples: tuple[Example, ...]


def slices(
    rows: Sequence[Row], student: Sequence[Said], teacher: Sequence[Said] | None
) -> dict[str, tuple[Slice, ...]]:
    """By kind: "label", "length", "confidence", "seen"; a kind that says nothing is left out."""
    made: dict[str, list[tuple[str, BoolArray]]] = {
        "label": list(_labels(rows)),
        "length": list(_quarters(np.array([len(row.query) for row in rows], np.float64), "characters")),
        "confidence": list(_quarters(column(student, "confidence"), "confidence")),
        "seen": list(_seen(rows)),
    }
    return {
        kind: tuple(_slice(name, chosen, rows, student, teacher) for name, chosen in parts)
        for kind, parts in made.items()
        if len(parts) > 1
    }


def _labels(rows: Sequence[Row]) -> Iterator[tuple[str, BoolArray]]:
    wanted = [_wanted(row) for row in rows]
    known = sorted(set(wanted))
    if len(known) <= _MOST_CLASSES:
        for label in known:
            yield label, np.array([one == label for one in wanted])


def _quarters(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], what: str
) -> Iterator[tuple[str, BoolArray]]:
    if len(values) < _LEAST_TO_CUT or np.isnan(values).any():
        return
    edges = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    for place, (low, high) in enumerate(itertools.pairwise(edges.tolist())):
        is_last = place == len(edges) - 2
        chosen = (values >= low) & ((values <= high) if is_last else (values < high))
        if chosen.any():
            yield f"{what} {low:.4g} to {high:.4g}", chosen


def _seen(rows: Sequence[Row]) -> Iterator[tuple[str, BoolArray]]:
    seen = np.array([bool(row.meta.get("leak")) for row in rows])
    if seen.any() and not seen.all():
        yield "seen in training", seen
        yield "not seen in training", ~seen


def _slice(
    name: str, chosen: BoolArray, rows: Sequence[Row], student: Sequence[Said], teacher: Sequence[Said] | None
) -> Slice:
    places = np.flatnonzero(chosen).tolist()
    own = [student[place] for place in places]
    quality = column(own, "quality")
    wrong = sorted(
        (place for place in places if (student[place].quality or 0.0) < 0.5),
        key=lambda place: -(student[place].confidence or 0.0),
    )
    return Slice(
        name=name,
        n=len(own),
        quality=float(quality.mean()),
        interval=wilson_interval(float(quality.sum()), len(own)),
        teacher=None if teacher is None else float(column([teacher[p] for p in places], "quality").mean()),
        examples=tuple(
            Example(
                id=rows[place].id,
                query=rows[place].query[:_SHOWN],
                wanted=_wanted(rows[place])[:_SHOWN],
                said=student[place].text[:_SHOWN],
                confidence=student[place].confidence,
            )
            for place in wrong[:_N_EXAMPLES]
        ),
    )


def _wanted(row: Row) -> str:
    return row.reference if row.reference is not None else row.label or "(no answer of the teacher)"
