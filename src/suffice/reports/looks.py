"""How routers are told apart in every plot of a page, and which of them have a line of their own."""

from __future__ import annotations

from html import escape
from typing import Final

from suffice.evaluation import Comparison
from suffice.reports.svg import element, polyline

_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a5bd1")
"""Okabe and Ito: told apart with any kind of colour vision."""
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
GREY: Final = "#808080"
GREY_DASH: Final = "4 4"
MAX_LINES: Final = 7
"""More lines are told apart by nobody; further routers are drawn thin and grey."""


def shown(comparison: Comparison) -> tuple[str, ...]:
    """Routers with a line of their own: the recommended one, then by merit."""
    first = comparison.recommended.router

    def merit(name: str) -> tuple[bool, float, float]:
        found = comparison.routers[name]
        apgr = found.pair.apgr if found.pair else 0.0
        return name == first, found.aiq if found.aiq is not None else apgr, found.max_quality

    return tuple(sorted(comparison.routers, key=merit, reverse=True)[:MAX_LINES])


def lines(comparison: Comparison) -> tuple[str, ...]:
    """Those with a line in the cost-quality plot: the recommended router, then plans, then other routers.

    Each by merit.
    """
    if not comparison.plans:
        return shown(comparison)
    plans = sorted(comparison.plans, key=lambda name: comparison.plans[name].aiq, reverse=True)
    first, *others = shown(comparison)
    return (first, *plans, *others)[:MAX_LINES]


def look(place: int) -> tuple[str, str]:
    """Colour and dashes of a router by its place in `shown`."""
    return _COLOURS[place % len(_COLOURS)], _DASHES[place % len(_DASHES)]


def legend(
    comparison: Comparison, *, zero: str = "single models mixed by lot", with_plans: bool = False
) -> str:
    """Names beside their lines, as a list that wraps; in HTML, so that it stays readable when small."""
    names = lines(comparison) if with_plans else shown(comparison)
    n_lines = len(comparison.routers) + (len(comparison.plans) if with_plans else 0)
    entries = [(name, *look(place)) for place, name in enumerate(names)]
    entries[0] = (f"{entries[0][0]} (recommended)", *entries[0][1:])
    entries += [(zero, GREY, GREY_DASH)] if zero else []
    if n_lines > len(names):
        what = "routers and plans" if with_plans and comparison.plans else "routers"
        entries.append((f"{n_lines - len(names)} other {what}", GREY, ""))
    return element("ul", "".join(_entry(*entry) for entry in entries), class_="legend")


def _entry(name: str, colour: str, dash: str) -> str:
    line = polyline([(0, 6), (34, 6)], stroke=colour, stroke_width=3, stroke_dasharray=dash or "none")
    swatch = element("svg", line, viewBox="0 0 34 12", width=34, height=12, aria_hidden="true")
    return element("li", swatch + " " + escape(name))
