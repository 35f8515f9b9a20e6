"""`suffice demo`: route real queries over real models, show every decision, keep serving."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from suffice.cli.base import console, notes
from suffice.cli.setting import ConfigOption, JsonOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(_demo)


def _demo(
    once: Annotated[bool, typer.Option("--once", help="End after the table.")] = False,
    queries: Annotated[int, typer.Option(min=1, max=200, help="How many to ask.")] = 16,
    port: Annotated[int, typer.Option(min=0, max=65535, help="To serve on; the next free one.")] = 8080,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Route real queries over real models and keep serving; fetches two small models where none is set."""
    from suffice.cli.demo_panel import set_up
    from suffice.cli.demo_run import perform
    from suffice.gateway.server import loop_factory

    out = notes if as_json else console
    stage = set_up(config, queries, out)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(perform(stage, out, once=once, port=port, as_json=as_json))
