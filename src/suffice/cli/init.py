"""`suffice init`: a first suffice.yaml, for the models that are found here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from suffice.cli.base import console, notes, print_json
from suffice.config import DEFAULT_FILE, schema
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.starter import Found, Panel


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(_init)


def _init(
    force: Annotated[bool, typer.Option("--force", help=f"Overwrite {DEFAULT_FILE}.")] = False,
    print_schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file instead.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Two small local models, whatever is found.")
    ] = False,
) -> None:
    """Write a commented suffice.yaml for the keys, servers and local models that are found."""
    if print_schema:
        print_json(schema())
        return
    from suffice import starter

    file = Path(DEFAULT_FILE)
    for path in (file, Path(starter.ROUTER_DIR)):
        if path.exists() and not force:
            raise ConfigError(f"{path} is there already; `suffice init --force` overwrites it")
    found = starter.look(os.environ, online=True)
    panel = starter.choose(found, local=local) or starter.local_panel("no key, no server, no local model")
    made = starter.write(panel, Path())
    for sentence in found.seen or ("no key is set and no server runs here",):
        notes.print(escape(sentence), style="dim", highlight=False, soft_wrap=True)
    names = ", ".join(entry.name for entry in panel.entries)
    console.print(f"wrote [bold]{file}[/] with {escape(names)}", highlight=False, soft_wrap=True)
    if made is not None:
        why = escape(f"{made.router}; value_usd {made.value_usd:g} is {made.why}")
        console.print(f"wrote [bold]{starter.ROUTER_DIR}/[/]: {why}", highlight=False, soft_wrap=True)
        if panel.borrows:
            notes.print(escape(panel.borrows), style="yellow", highlight=False)
    _next(panel, found)


def _next(panel: Panel, found: Found) -> None:
    """What to type now."""
    missing = panel.kind == "local" and set(found.pulled) < {"small", "large"}
    if missing:
        console.print("next: [bold]suffice pull all[/] fetches the local models (1.6 GB)", highlight=False)
    console.print('then: [bold]suffice ask "What is 17 * 23?"[/], or [bold]suffice up[/]', highlight=False)
