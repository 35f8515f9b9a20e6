"""Rounds of a distillation on one chart."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from suffice.distillation.iterating import Gain, Round
from suffice.reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, frame
from suffice.reports.looks import GREY, GREY_DASH, look
from suffice.reports.svg import Scale, element, polyline


def rounds_chart(rounds: Sequence[Round], gains: Sequence[Gain]) -> str:
    """One SVG element: the student's quality by round; bars: its gain on the round before, paired."""
    values = [value for one in rounds for value in (one.quality, one.teacher) if value is not None]
    bars = {one.number: one for one in gains}
    before = {one.number + 1: one.quality for one in rounds}
    for number, gain in bars.items():
        values += [before[number] + gain.low, before[number] + gain.high]
    margin = 0.06 * (max(values, default=1.0) - min(values, default=0.0)) or 0.01
    last = max((one.number for one in rounds), default=1)
    x = Scale(low=0.5, high=last + 0.5, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(
        low=min(values, default=0.0) - margin, high=max(values, default=1.0) + margin,
        start=HEIGHT - BOTTOM, end=TOP,
    )  # fmt: skip
    colour, _ = look(0)
    parts = [frame(x, y, "round", "quality on the test rows")]
    teacher = [(x(one.number), y(one.teacher)) for one in rounds if one.teacher is not None]
    parts.append(polyline(teacher, stroke=GREY, stroke_width=2, stroke_dasharray=GREY_DASH))
    for number, gain in bars.items():
        ends = [(x(number), y(before[number] + gain.low)), (x(number), y(before[number] + gain.high))]
        parts.append(polyline(ends, stroke=colour, stroke_width=6, stroke_opacity=0.3))
    parts.append(
        polyline([(x(one.number), y(one.quality)) for one in rounds], stroke=colour, stroke_width=2.2)
    )
    for one in rounds:
        tip = element("title", escape(f"round {one.number}: {one.quality:.3f}; {'; '.join(one.changed)}"))
        parts.append(element("circle", tip, cx=x(one.number), cy=y(one.quality), r=4, fill=colour))
    described = (
        "Quality of the student on the test rows by round; bars: 95 % intervals of the gain on the round "
        "before, paired by row; dashed: the teacher."
    )
    return figure("Rounds", described, "".join(parts))
