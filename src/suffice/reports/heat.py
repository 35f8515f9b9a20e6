"""Routers by tasks, coloured by what routing gains there: a table, so that it can be read and scrolled."""

from __future__ import annotations

from html import escape
from typing import Final

from suffice.evaluation import Comparison
from suffice.evaluation.details import TaskCell, TaskResult
from suffice.reports.looks import shown
from suffice.reports.svg import element
from suffice.reports.table import NONE, usd

_UP: Final = "0 114 178"
_DOWN: Final = "213 94 0"
_STRONGEST: Final = 0.6
"""Opacity of the largest gain: text stays readable on it, in light and in dark."""


def heat_map(comparison: Comparison) -> str | None:
    """One HTML table; None where queries name no tasks."""
    tasks = comparison.details.tasks
    names = shown(comparison)
    gains = {(task, name): _gain(one, name) for task, one in tasks.items() for name in names}
    known = [abs(gain) for gain in gains.values() if gain is not None]
    if not known:
        return None
    largest = max(known) or 1.0
    head = "".join(
        f'<th scope="col">{escape(name)}</th>' for name in ("task", "queries", "best single here", *names)
    )
    rows = "".join(
        _row(task, one, [(name, gains[task, name]) for name in names], largest) for task, one in tasks.items()
    )
    table = element("table", element("thead", element("tr", head)) + element("tbody", rows), class_="heat")
    return element("div", table, class_="scroll")


def explained(comparison: Comparison) -> str:
    """What the colours and numbers are."""
    what = (
        "AIQ above the zero router's, task by task"
        if comparison.cost_range_usd_per_1k is not None
        else "quality above that of the model which is best on all tasks"
    )
    return (
        f"Numbers: {what}; blue is a gain, orange a loss. Nothing is trained or chosen per task. Single "
        "tasks have few queries: small differences are chance."
    )


def _gain(task: TaskResult, name: str) -> float | None:
    cell = task.routers.get(name)
    if cell is None:
        return None
    if cell.aiq is not None and task.zero_router_aiq is not None:
        return cell.aiq - task.zero_router_aiq
    return cell.quality - task.best_single_overall


def _row(task: str, found: TaskResult, gains: list[tuple[str, float | None]], largest: float) -> str:
    best = f"{found.best_single.model} {found.best_single.quality:.3f}"
    cells = "".join(_cell(found.routers.get(name), gain, largest) for name, gain in gains)
    return element(
        "tr",
        f'<th scope="row">{escape(task)}</th><td>{found.n_test:,}</td><td>{escape(best)}</td>{cells}',
    )


def _cell(cell: TaskCell | None, gain: float | None, largest: float) -> str:
    if cell is None or gain is None:
        return element("td", NONE)
    colour = _UP if gain >= 0 else _DOWN
    tip = f"at its value: quality {cell.quality:.3f}"
    if cell.cost_usd_per_1k is not None:
        tip += f" for {usd(cell.cost_usd_per_1k)} USD per 1,000 queries"
    opacity = _STRONGEST * abs(gain) / largest
    return element("td", f"{gain:+.3f}", title=tip, style=f"background: rgb({colour} / {opacity:.2f})")
