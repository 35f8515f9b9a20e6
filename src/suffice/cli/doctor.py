"""`suffice doctor`: is everything there, and does it fit together?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, print_json
from suffice.cli.setting import NOTHING_TO_ASK, ConfigOption, JsonOption
from suffice.config import DEFAULT_FILE, Config, load
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.cli.checks import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(_doctor)


def _doctor(
    config: ConfigOption = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask every provider for its list of models; free of charge.")
    ] = False,
    call: Annotated[
        bool, typer.Option("--call", help="Ask every candidate for one token; costs a little.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the installation, the configuration and all it names; exit code 1 where something fails."""
    findings = list(_findings(config, online=online, call=call))
    is_well = all(finding.status != "fail" for finding in findings)
    if as_json:
        print_json({"is_well": is_well, "findings": findings})
    else:
        console.print(_table(findings))
    if not is_well:
        sys.exit(1)


def _findings(path: Path | None, *, online: bool, call: bool) -> Iterator[Finding]:
    from suffice.cli import checks, checks_gate, checks_panel

    yield from checks.check_python()
    yield from checks.check_packages()
    yield from checks.check_prices()
    config, finding = _configuration(path)
    yield finding
    if config is None:
        return
    yield from checks_panel.check_models(config)
    if config.models:
        yield from checks_panel.check_routing(config)
        yield from checks_panel.check_budgets(config)
        yield from checks_gate.check_gates(config)
    yield from checks.check_store(config)
    yield from checks.check_cache(config)
    yield from checks.check_port(config)
    if online:
        yield from checks_panel.check_endpoints(config)
    if call:
        yield from asyncio.run(checks_panel.check_calls(config))


def _configuration(path: Path | None) -> tuple[Config | None, Finding]:
    """The configuration and what is to be said of it; without a file, whether there is something to ask."""
    from suffice.cli.checks import Finding

    if path is not None or Path(DEFAULT_FILE).exists():
        try:
            config = load(path)
        except ConfigError as error:
            where = "correct that line" if error.line and error.key != "include" else "see the message"
            return None, Finding(name="config", status="fail", detail=str(error), remedy=where)
        return config, Finding(name="config", status="ok", detail=f"{path or DEFAULT_FILE} is valid")
    from suffice import starter

    panel = starter.choose(starter.look(os.environ))
    if panel is None:
        return None, Finding(name="config", status="fail", detail=NOTHING_TO_ASK, remedy="suffice demo")
    detail = f"no {DEFAULT_FILE}; {panel.found} would be asked"
    finding = Finding(name="config", status="warn", detail=detail, remedy="suffice init")
    return load(starter.prepare(panel)[0]), finding


def _table(findings: list[Finding]) -> Table:
    table = Table("", "check", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        colour = _COLOURS[finding.status]
        status = f"[{colour}]{finding.status}[/]"
        table.add_row(status, escape(finding.name), escape(finding.detail), escape(finding.remedy))
    return table
