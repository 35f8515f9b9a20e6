"""A comparison as one HTML file: no scripts, no fonts, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from suffice.evaluation import Comparison
from suffice.reports.advice import advice
from suffice.reports.forest import forest
from suffice.reports.grids import Grid, grids
from suffice.reports.growth import growth
from suffice.reports.heat import explained, heat_map
from suffice.reports.looks import legend
from suffice.reports.plot import plot
from suffice.reports.svg import element
from suffice.reports.table import ReportTable, table

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
figure { margin: 1rem 0; } .wide { max-width: 52rem; } .narrow { max-width: 44rem; }
figure > svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: currentColor; } svg .label { font-size: 11px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .3rem 0; }
.legend svg { vertical-align: middle; }
.advice { border-left: 4px solid #0072b2; padding: .3rem 1rem; font-size: 1.05rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: Canvas; }
tbody + tbody tr:first-child > * { border-top: 2px solid #888; }
.note { font-size: .85rem; opacity: .85; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; } th, td { padding: .3rem .45rem; }
  th:first-child { max-width: 9rem; overflow: hidden; text-overflow: ellipsis; }
  figure > svg { font-size: 21px; } svg .label, svg .minor { display: none; }
}
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
        *_figures(comparison),
        element("h2", "Routers and baselines"),
        element("div", _table(found), class_="scroll"),
        *(element("p", escape(note), class_="note") for note in found.notes),
        *(part for grid in grids(comparison, tasks=False) for part in _grid(grid)),
        element("h2", "Single models"),
        element("div", _singles(comparison), class_="scroll"),
        _left_out(comparison),
    ]
    return document(title, body)


def document(title: str, body: Sequence[str]) -> str:
    """A page of its own around markup."""
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


def scrolled_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text cells; wider than the page it scrolls."""
    table = element("table", element("thead", _head(head)) + element("tbody", _rows(rows)))
    return element("div", table, class_="scroll")


def _figures(comparison: Comparison) -> list[str]:
    """Those that this comparison has figures for, each under a heading."""
    curves, gains, heat = plot(comparison), forest(comparison), heat_map(comparison)
    grown = growth(comparison)
    parts = (
        [_figure(legend(comparison, with_plans=True) + curves, "wide")]
        if curves
        else [element("p", "Costs are not known: there is no cost-quality plot.")]
    )
    if gains:
        against = next(iter(comparison.details.significance.values())).against
        parts += [element("h2", escape(f"Gain against {against}")), _figure(gains, "narrow")]
    if heat:
        parts += [element("h2", "Task by task"), heat, element("p", explained(comparison), class_="note")]
    if grown:
        parts += [element("h2", "Learning curves"), _figure(legend(comparison) + grown, "wide")]
    return parts


def _figure(content: str, width: str) -> str:
    return element("figure", content, class_=width)


def _grid(grid: Grid) -> list[str]:
    table = element("table", element("thead", _head(grid.head)) + element("tbody", _rows(grid.rows)))
    note = [element("p", escape(grid.note), class_="note")] if grid.note else []
    return [element("h2", escape(grid.title)), element("div", table, class_="scroll"), *note]


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
    lines += [f"{name}: {why}" for name, why in comparison.skipped.items()]
    if details.n_test_left_out:
        lines.append(f"{details.n_test_left_out:,} test queries without a figure for every model")
    if details.n_test_seen:
        lines.append(f"{details.n_test_seen:,} test queries stand in the training data too")
    lines += [
        f"{seen.n:,} test queries stand in what {name} was trained on before"
        for name, seen in details.seen.items()
        if seen.n
    ]
    if not lines:
        return ""
    items = "".join(element("li", escape(line)) for line in lines)
    return element("h2", "Left out") + element("ul", items)
