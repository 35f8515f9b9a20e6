"""The `suffice` command. Tables and progress for people; with `--json`, JSON alone on stdout.

Exit codes: 0 done, 1 failed, 2 misused.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer

from suffice import __version__
from suffice.cli.base import fail
from suffice.errors import SufficeError

COMMANDS = (
    "init",
    "doctor",
    "models",
    "pull",
    "up",
    "demo",
    "chat",
    "ask",
    "route",
    "train",
    "evaluate",
    "recommend",
    "calibrate",
    "guarantee",
    "cascade",
    "gate",
    "corpus",
    "data",
    "confidence",
    "feedback",
    "records",
    "spend",
    "keys",
    "budgets",
    "cache",
    "experiment",
    "replay",
    "distill",
)
"""In the order of `suffice --help`; each is a module of this package with `register(app)`."""
_MODULES = {"data": "data_sets"}
"""Commands whose module has another name."""


def build(only: str | None = None) -> typer.Typer:
    """The application with every command, or with one: reading all takes most of a second."""
    app = typer.Typer(
        name="suffice",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name in COMMANDS if only is None else (only,):
        importlib.import_module(f"suffice.cli.{_MODULES.get(name, name)}").register(app)
    return app


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"suffice {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Answers every query with the cheapest plan that suffices, and proves it."""


def main() -> None:
    """Entry point: our own errors become one sentence, Ctrl-C ends quietly."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads only get in the way
    named = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in COMMANDS else None
    try:
        build(named)()
    except SufficeError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}")
