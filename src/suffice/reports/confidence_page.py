"""A known-answers test as one HTML file, and its pictures as files of their own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from suffice.evaluation.known_answers import KnownAnswers
from suffice.evaluation.signal_table import SignalTable
from suffice.reports.confidence_plots import confidence_histogram, reliability_diagram, risk_coverage_plot
from suffice.reports.confidence_table import HEAD, HELD_HEAD, held_rows, notes, rows
from suffice.reports.page import document, scrolled_table
from suffice.reports.svg import element

_PNG_WIDTH = 1520
_PLOTS = {
    "reliability": reliability_diagram,
    "risk-coverage": risk_coverage_plot,
    "histogram": confidence_histogram,
}


def confidence_page(found: KnownAnswers, table: SignalTable) -> str:
    """The whole document."""
    title = f"How far {found.model} can be believed"
    summary = f"{found.n:,} questions with known answers, {found.accuracy:.1%} answered right."
    if found.best is not None:
        summary += f" Best single signal: {found.best}."
    body = [
        element("h1", escape(title)),
        element("p", escape(summary), class_="advice"),
        element("h2", "Signals as they come"),
        scrolled_table(HEAD, rows(found)),
        *(element("p", escape(note), class_="note") for note in notes(found)),
        element("h2", "Calibrated on one half, judged on the other"),
        scrolled_table(HELD_HEAD, held_rows(found)),
    ]
    drawn: dict[str, list[str]] = {}
    for signal, _, svg in plots(found, table):
        drawn.setdefault(signal, []).append(element("figure", svg, class_="narrow"))
    for signal, figures in drawn.items():
        body += [element("h2", escape(signal)), *figures]
    return document(title, body)


def plots(found: KnownAnswers, table: SignalTable) -> Iterator[tuple[str, str, str]]:
    """Signal, kind of picture, SVG; in the order of the table."""
    for line in found.lines:
        values = table.confidence[line.signal]
        there = ~np.isnan(values)
        for kind, draw in _PLOTS.items():
            yield line.signal, kind, draw(line.signal, values[there], table.correct[there])


def write_plots(found: KnownAnswers, table: SignalTable, directory: Path) -> tuple[str, ...]:
    """`SIGNAL.KIND.svg` for every picture, and .png beside it where resvg-py is installed (extra [plots]).

    Returns
    -------
    The kinds of file: ("svg",) or ("svg", "png")
    """
    has_png = find_spec("resvg_py") is not None
    for signal, kind, svg in plots(found, table):
        path = directory / f"{signal}.{kind}.svg"
        path.write_text(svg + "\n", encoding="utf-8")
        if has_png:
            path.with_suffix(".png").write_bytes(_png(svg))
    return ("svg", "png") if has_png else ("svg",)


def _png(svg: str) -> bytes:
    import resvg_py

    style = "svg { font: 13px sans-serif; }"  # the page's own, which a lone file lacks
    drawn = svg.replace("<title>", f"<style>{style}</style><title>", 1)
    return bytes(resvg_py.svg_to_bytes(svg_string=drawn, background="white", width=_PNG_WIDTH))
