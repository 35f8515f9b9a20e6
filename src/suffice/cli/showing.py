"""A comparison on the terminal: the table, then what was asked for beside it, then the advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, notes
from suffice.cli.data import ONE_MODEL

if TYPE_CHECKING:
    from suffice.evaluation import Comparison
    from suffice.reports import Grid

_FEW_TASKS: Final = 12
"""As many are shown unasked."""


def show(comparison: Comparison, *, tasks: bool | None = None) -> None:
    """Everything, best things last: people read the end first.

    Parameters
    ----------
    tasks : whether to show a row per task; None where they are few
    """
    from suffice.reports import advice, grids, table

    found = table(comparison)
    _print(_title(comparison), found.head, found.routers, found.baselines)
    for note in found.notes:
        console.print(note, style="dim", highlight=False, markup=False)
    n_tasks = len(comparison.details.tasks)
    shows_tasks = tasks if tasks is not None else n_tasks <= _FEW_TASKS
    for grid in grids(comparison, tasks=shows_tasks):
        print_grid(grid)
    console.print(advice(comparison), style="bold", highlight=False, markup=False)
    for warning in _warnings(comparison):
        notes.print(warning, style="yellow", highlight=False, markup=False)


def print_grid(grid: Grid) -> None:
    """Title, rows and what the columns mean."""
    _print(grid.title, grid.head, grid.rows)
    if grid.note:
        console.print(grid.note, style="dim", highlight=False, markup=False)


def _print(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    dimmed: Sequence[Sequence[str]] = (),
) -> None:
    wide = console if console.is_terminal else Console(width=150)
    gap = 1 if wide.width >= 110 else 0
    for first, places in enumerate(_parts(head, [*rows, *dimmed], wide.width, gap)):
        shown = Table(
            title=None if first else escape(title),
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, gap, 0, 0),
        )
        for place in places:
            name = escape(_two_lines(head[place]))
            shown.add_column(name, justify="right" if place else "left", no_wrap=place > 0, overflow="fold")
        for row in rows:
            shown.add_row(*(escape(row[place]) for place in places))
        if dimmed:
            shown.add_section()
        for row in dimmed:
            shown.add_row(*(escape(row[place]) for place in places), style="dim")
        wide.print(shown)


def _parts(head: Sequence[str], rows: Sequence[Sequence[str]], width: int, gap: int) -> list[list[int]]:
    """Columns that fit beside the first, for as many tables as are needed: none is cut."""
    needed = []
    for place, name in enumerate(head):
        cells = (*_two_lines(name).split("\n"), *(row[place] for row in rows))
        needed.append(max(map(cell_len, cells)) + 1 + gap)
    needed[0] = min(needed[0], width // 2)  # names wrap
    found: list[list[int]] = [[0]]
    for place in range(1, len(head)):
        if len(found[-1]) > 1 and 1 + sum(needed[one] for one in (*found[-1], place)) > width:
            found.append([0])
        found[-1].append(place)
    return found


def _title(comparison: Comparison) -> str:
    return (
        f"{len(comparison.models)} models, {comparison.n_train:,} training and {comparison.n_test:,} "
        "test queries"
    )


def _two_lines(name: str) -> str:
    """Broken at the space that leaves the shorter lines."""
    spaces = [at for at, letter in enumerate(name) if letter == " "]
    if not spaces:
        return name
    at = min(spaces, key=lambda at: max(at, len(name) - at - 1))
    return f"{name[:at]}\n{name[at + 1 :]}"


def _warnings(comparison: Comparison) -> list[str]:
    """What was left out, and what may make the figures too good."""
    details = comparison.details
    found = [f"{name} skipped: {why}" for name, why in comparison.skipped.items()]
    found += [ONE_MODEL] * (len(comparison.models) == 1)
    found += [f"model {name} left out: {why}" for name, why in details.models_left_out.items()]
    if details.n_test_left_out:
        found.append(f"{details.n_test_left_out:,} test queries left out: not known for every model")
    if details.n_test_seen:
        found.append(
            f"{details.n_test_seen:,} test queries stand in the training data too: the figures flatter "
            "routers that remember; take them out of one file"
        )
    for name, seen in details.seen.items():
        if seen.n:
            unseen = "" if seen.aiq_unseen is None else f"; on the other {seen.n_unseen:,} its AIQ is "
            unseen += "" if seen.aiq_unseen is None else f"{seen.aiq_unseen:.3f}"
            found.append(f"{seen.n:,} test queries stand in what {name} was trained on before{unseen}")
    return found
