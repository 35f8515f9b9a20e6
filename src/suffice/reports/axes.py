"""The frame of a plot: grid, numbers and names of the axes."""

from __future__ import annotations

from typing import Final

from suffice.reports.svg import Scale, element, text

WIDTH: Final = 760
HEIGHT: Final = 460
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 32, 52
"""Margins."""


def frame(x: Scale, y: Scale, across: str, up: str) -> str:
    """Grid lines at round numbers, and what is measured.

    On a phone, where text is larger, only the powers of ten of a crowded log scale keep their number.
    """
    grid: dict[str, object] = {"stroke": "currentColor", "stroke_opacity": 0.14}
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    marks = x.ticks()
    for mark in marks:
        at = x(mark)
        is_minor = len(marks) > 5 and not f"{mark:e}".startswith("1.000")
        parts.append(element("line", x1=at, x2=at, y1=TOP, y2=bottom, **grid))
        name = {"class_": "minor"} if is_minor else {}
        parts.append(text(f"{mark:.6g}", at, bottom + 20, text_anchor="middle", **name))
    for mark in y.ticks():
        at = y(mark)
        parts.append(element("line", x1=LEFT, x2=right, y1=at, y2=at, **grid))
        parts.append(text(f"{mark:.6g}", LEFT - 8, at + 4, text_anchor="end"))
    parts.append(text(across, (LEFT + right) / 2, HEIGHT - 8, text_anchor="middle"))
    parts.append(text(up, 8, 18))
    return "".join(parts)


def figure(title: str, described: str, parts: str, height: float = HEIGHT, width: float = WIDTH) -> str:
    """One SVG element that says in words what it shows."""
    return element(
        "svg",
        element("title", title) + element("desc", described) + parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )
