"""Gains with their intervals, one router a row: what is clearly above the line, and what is chance."""

from __future__ import annotations

from html import escape
from typing import Final

from suffice.evaluation import Comparison
from suffice.evaluation.figures import Significance
from suffice.reports.axes import figure
from suffice.reports.svg import Scale, element, text
from suffice.reports.table import gain

_WIDTH: Final = 640
_ROW: Final = 26
_NAMES: Final = 150
"""Pixels for names at the left; as many for numbers at the right."""
_DEPTH: Final = 3
"""Losses are shown as far down as this many times the largest gain: one hopeless router squeezes no other."""
_COLOURS: Final = {"better": "#0072b2", "within chance": "#808080", "worse": "#d55e00"}


def forest(comparison: Comparison) -> str | None:
    """One SVG element; None where no gains are known."""
    found = comparison.details.significance
    if not found:
        return None
    rows = sorted(found.items(), key=lambda item: item[1].gain, reverse=True)
    ends = [end for one in found.values() for end in (*one.ci, one.gain, 0.0)]
    low = max(min(ends), -_DEPTH * max(ends)) if max(ends) > 0 else min(ends)
    margin = 0.04 * (max(ends) - low) or 0.01
    x = Scale(low=low - margin, high=max(ends) + margin, start=_NAMES, end=_WIDTH - _NAMES / 1.6)
    height = _ROW * len(rows) + 40
    parts = [_ruler(x, height), *(_row(name, one, x, place) for place, (name, one) in enumerate(rows))]
    against = rows[0][1].against
    described = (
        f"Each router's gain against {against} with its 95 % interval. Filled: the interval excludes 0; "
        "arrow: further down. The table below has the figures."
    )
    return figure("Gains with intervals", described, "".join(parts), height=height, width=_WIDTH)


def _ruler(x: Scale, height: float) -> str:
    parts = []
    for mark in x.ticks():
        at = x(mark)
        is_zero = abs(mark) < 1e-12
        line = {"stroke": "currentColor", "stroke_opacity": 0.8 if is_zero else 0.14}
        parts.append(element("line", x1=at, x2=at, y1=4, y2=height - 24, **line))
        parts.append(text(f"{mark:+.3g}" if not is_zero else "0", at, height - 8, text_anchor="middle"))
    return "".join(parts)


def _row(name: str, one: Significance, x: Scale, place: int) -> str:
    at = 18 + _ROW * place
    colour = _COLOURS[one.verdict]
    tip = element("title", escape(f"{name}: {one.verdict}, p = {one.p_value:.3g}"))
    if one.gain < x.low:
        mark = text("◂", x.start, at + 4, fill=colour)
    else:
        low, high = x(max(one.ci[0], x.low)), x(one.ci[1])
        fill = "none" if one.verdict == "within chance" else colour
        mark = element("line", x1=low, x2=high, y1=at, y2=at, stroke=colour, stroke_width=2)
        mark += element("circle", tip, cx=x(one.gain), cy=at, r=5, fill=fill, stroke=colour, stroke_width=2)
    label = name if len(name) <= 22 else "…" + name[-21:]
    return (
        text(label, _NAMES - 10, at + 4, text_anchor="end")
        + mark
        + text(gain(one), _WIDTH - 4, at + 4, text_anchor="end")
    )
