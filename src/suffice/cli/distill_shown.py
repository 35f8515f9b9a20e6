"""What a stage came to, for people: a heading, a sentence, its figures in a table, and where the rest is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from suffice.cli.base import console, notes, print_table
from suffice.cli.distill_views import View, view_of
from suffice.cli.formats import seconds, usd

if TYPE_CHECKING:
    from suffice.distillation.flywheel import Done

_STOPPED: Final = {"promote": "yellow"}
"""That a rung is enough is good news, that a student is not promoted is none."""


def show(done: Done) -> None:
    """One stage: the result on stdout, notes on stderr."""
    manifest = done.manifest
    view = view_of(done)
    finding = manifest.stop or view.finding
    facts = [_time(manifest.seconds), *([] if view.usd is None else [usd(view.usd)])]
    facts += [] if done.is_new else ["done before"]
    facts += ["partial: the same command goes on"] if manifest.is_partial else []
    console.print(f"[bold]{escape(manifest.stage)}[/]  [dim]{', '.join(facts)}[/]", highlight=False)
    if finding:
        style = _STOPPED.get(manifest.stage, "green") if manifest.stop else ""
        _say(finding, style)
    if view.rows:
        print_table(_table(view))
    _print_path(str(done.folder / view.report))
    for note in manifest.notes:
        if note != finding:
            notes.print(escape(note), style="yellow", highlight=False, soft_wrap=not notes.is_terminal)


def _say(text: str, style: str) -> None:
    """Whole words on a terminal, one line where something else reads it."""
    if console.is_terminal:
        console.print(Padding(escape(text), (0, 0, 0, 2)), style=style, highlight=False)
    else:
        console.print(f"  {escape(text)}", style=style, highlight=False, soft_wrap=True)


def _print_path(path: str) -> None:
    """In one piece, so that it can be copied."""
    console.print(f"  in {escape(path)}", style="dim", highlight=False, soft_wrap=True)


def _table(view: View) -> Table:
    table = Table(box=None, show_header=bool(view.head), padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column()  # its padding: what stands under the heading
    width = max(map(len, view.rows))
    names = view.head or ("",) * width
    for place, name in enumerate(names):
        is_number = place > 0 and bool(view.head)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in view.rows:
        table.add_row("", *map(escape, row))
    return table


def _time(value: float) -> str:
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60} min" if value >= 3600 else (
        f"{minutes} min" if value >= 120 else seconds(value)
    )  # fmt: skip
