"""A comparison as one HTML file: no scripts, no fonts, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from suffice.evaluation import Comparison
from suffice.reports.advice import advice
from suffice.reports.plot import plot
from suffice.reports.svg import element
from suffice.reports.table import ReportTable, table

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: currentColor; }
.advice { border-left: 4px solid #0072b2; padding: .3rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
tbody + tbody tr:first-child > * { border-top: 2px solid #888; }
.note { font-size: .85rem; opacity: .85; }
"""


def page(comparison: Comparison, title: str = "Routers compared") -> str:
    """The whole document."""
    found = table(comparison)
    sizes = (
        f"{len(comparison.models)} models, {comparison.n_train:,} training queries, "
        f"{comparison.n_test:,} test queries."
    )
    body = [
        element("h1", escape(title)),
        element("p", escape(sizes)),
        element("p", escape(advice(comparison)), class_="advice"),
        plot(comparison) or element("p", "Costs are not known: there is no cost-quality plot."),
        element("h2", "Routers and baselines"),
        element("div", _table(found), class_="scroll"),
        *(element("p", escape(note), class_="note") for note in found.notes),
        element("h2", "Single models"),
        element("div", _singles(comparison), class_="scroll"),
        _left_out(comparison),
    ]
    head = (
        '<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>'
        + element("title", escape(title))
        + element("style", _STYLE)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _table(found: ReportTable) -> str:
    bodies = element("tbody", _rows(found.routers)) + element("tbody", _rows(found.baselines))
    return element("table", element("thead", _head(found.head)) + bodies)


def _head(names: Sequence[str]) -> str:
    return element("tr", "".join(f'<th scope="col">{escape(name)}</th>' for name in names))


def _rows(rows: Sequence[Sequence[str]]) -> str:
    written = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        written.append(element("tr", f'<th scope="row">{escape(first)}</th>{cells}'))
    return "".join(written)


def _singles(comparison: Comparison) -> str:
    rows = [
        (
            single.model,
            f"{single.quality:.3f}",
            "-" if single.cost_usd_per_1k is None else f"{single.cost_usd_per_1k:.3g}",
        )
        for single in comparison.details.singles
    ]
    head = element("thead", _head(("model", "quality", "USD per 1,000 queries")))
    return element("table", head + element("tbody", _rows(rows)))


def _left_out(comparison: Comparison) -> str:
    details = comparison.details
    lines = [f"{model}: {why}" for model, why in details.models_left_out.items()]
    lines += [f"Router {name}: {why}" for name, why in comparison.skipped.items()]
    if details.n_test_left_out:
        lines.append(f"{details.n_test_left_out:,} test queries without a figure for every model")
    if details.n_test_seen:
        lines.append(f"{details.n_test_seen:,} test queries stand in the training data too")
    if not lines:
        return ""
    items = "".join(element("li", escape(line)) for line in lines)
    return element("h2", "Left out") + element("ul", items)
