"""`suffice pull`: local model files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.providers.pull import BUNDLES, KNOWN, SOURCES, Bundle, LocalFile, Pulled, pull


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pull")(_pull)


def _pull(
    name: Annotated[
        str | None,
        typer.Argument(help=f"{', '.join((*KNOWN, *BUNDLES))}; all: {' and '.join(KNOWN)}; none lists them."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(SOURCES)}; else tried in turn.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A copy (or a folder of copies) that is here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Fetch a local model, digest checked."""
    if name is None:
        _list(as_json)
        return
    names = tuple(KNOWN) if name == "all" else (name,)
    done = [fetch(one, source, file) for one in names]
    if as_json:
        print_json({"models": done})
        return
    for one in done:
        how = "was there already" if one.source == "present" else f"came from {one.source}"
        console.print(f"[bold]{one.name}[/] {how}: {one.path}", highlight=False, soft_wrap=True)


def fetch(name: str, source: str | None = None, file: Path | None = None) -> Pulled:
    """`pull` with progress bars, and what did not work said on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=notes, transient=True) as bars:
        bar = bars.add_task(name, total=None)
        shown, shown_at, is_said = "", 0.0, False

        def report(what: str, done: int, total: int) -> None:
            nonlocal shown, shown_at, is_said
            if what != shown:
                bars.reset(bar)
                if "wheels" in what and not is_said:
                    notes.print(_provenance(name), style="yellow")
                    is_said = True
            elif done < total and time.monotonic() - shown_at < 0.1:
                return
            bars.update(bar, description=what, completed=done, total=total)
            shown, shown_at = what, time.monotonic()

        pulled = pull(name, source=source, file=file, progress=report)
    for reason in pulled.failed:
        notes.print(f"not from {reason}", highlight=False, soft_wrap=True)
    return pulled


def _provenance(name: str) -> str:
    """What is to be known of the packages that carry it."""
    model: LocalFile | Bundle = KNOWN.get(name) or BUNDLES[name]
    return model.provenance


def _list(as_json: bool) -> None:
    models: list[LocalFile | Bundle] = [*KNOWN.values(), *BUNDLES.values()]
    rows: list[dict[str, Any]] = [
        {
            "name": model.name,
            "model": model.title,
            "n_bytes": model.n_bytes,
            "license": model.license,
            "path": str(model.path) if all(file.path.is_file() for file in model.files) else None,
        }
        for model in models
    ]
    if as_json:
        print_json({"models": rows})
        return
    table = Table("name", "model", "size", "licence", "here", box=None, pad_edge=False)
    for row in rows:
        size = f"{row['n_bytes'] / 1e6:,.0f} MB"
        table.add_row(row["name"], row["model"], size, row["license"], "yes" if row["path"] else "no")
    console.print(table)
    for row in rows:
        if row["path"]:
            console.print(f"{row['name']}: {row['path']}", highlight=False, markup=False, soft_wrap=True)
