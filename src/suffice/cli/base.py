"""What all commands share: where text goes, and how a failure ends."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()
"""For what the command was asked for."""
notes = Console(stderr=True)
"""For progress, hints and warnings: never in the way of a pipe."""


def print_table(table: Table) -> None:
    """A table; where nobody looks, it has the width that it needs."""
    (console if console.is_terminal else Console(width=max(console.width, 200))).print(table)


def print_json(value: Any) -> None:
    """`value` as indented JSON, alone on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with one sentence on stderr."""
    notes.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(code)
