"""An evaluation of a student as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from suffice.distillation.assessing import STUDENT, TEACHER, Assessment
from suffice.distillation.assessing.report import (
    CONTESTANTS,
    DEFERRAL,
    DUELS,
    contestant_rows,
    deferral_rows,
    duel_rows,
)
from suffice.reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, frame
from suffice.reports.looks import GREY, GREY_DASH, look
from suffice.reports.page import document, scrolled_table
from suffice.reports.svg import Scale, element, polyline

_GREY: Final[dict[str, object]] = {"stroke": GREY, "stroke_dasharray": GREY_DASH, "stroke_width": 1}
SLICES = ("rows", "n", "student", "95 %", "teacher")


def distilled_page(found: Assessment, title: str) -> str:
    """The whole document."""
    return document(title, list(_body(found, title)))


def _body(found: Assessment, title: str) -> Iterator[str]:
    graded = "gold answers" if found.by_gold else "the teacher's answers"
    yield element("h1", escape(title))
    yield element("p", escape(f"{found.n:,} held rows, graded by {graded}."), class_="advice")
    yield scrolled_table(CONTESTANTS, contestant_rows(found))
    yield element("h2", "The student against the others, on the same rows")
    yield scrolled_table(DUELS, duel_rows(found.duels))
    if found.unseen:
        yield element("h3", f"Without the {found.n_seen:,} rows that were seen in training")
        yield scrolled_table(DUELS, duel_rows(found.unseen))
    if found.win_rate is not None:
        said = f"A judge prefers the student in {found.win_rate:.1%} of {found.n_judged:,} pairs."
        yield element("p", escape(said))
    if found.deferral:
        yield element("h2", "Keep what the student is sure of, send the rest to the teacher")
        yield element("figure", deferral_plot(found))
        yield scrolled_table(DEFERRAL, deferral_rows(found))
    for kind, parts in found.slices.items():
        yield element("h2", escape(f"By {kind}"))
        yield scrolled_table(SLICES, [
            (one.name, f"{one.n:,}", f"{one.quality:.1%}", f"{one.interval[0]:.1%} to {one.interval[1]:.1%}",
             "" if one.teacher is None else f"{one.teacher:.1%}")
            for one in parts
        ])  # fmt: skip
        shown = "".join(
            element("li", escape(f"{part.name}: {one.query} (wanted {one.wanted}, said {one.said})"))
            for part in parts
            for one in part.examples[:2]
        )
        if shown:
            yield element("ul", shown)
    for note in found.notes:
        yield element("p", escape(note), class_="note")


def deferral_plot(found: Assessment) -> str:
    """Quality over the share that the student answers; grey: the teacher and the student alone."""
    values = [one.quality for one in found.deferral]
    levels = [found.contestants[who].quality for who in (STUDENT, TEACHER) if who in found.contestants]
    low, high = min(values + levels), max(values + levels)
    pad = max(0.01, 0.1 * (high - low))
    x = Scale(low=0.0, high=1.0, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=low - pad, high=high + pad, start=HEIGHT - BOTTOM, end=TOP)
    colour, _ = look(0)
    parts = [
        frame(x, y, "share that the student answers", "quality"),
        *(polyline([(LEFT, y(one)), (WIDTH - RIGHT, y(one))], **_GREY) for one in levels),
        polyline(
            [(x(one.coverage), y(one.quality)) for one in found.deferral], stroke=colour, stroke_width=2.2
        ),
    ]
    said = "Quality over the share of queries that the student answers, the teacher answering the others."
    return figure("Deferral", said, "".join(parts))
