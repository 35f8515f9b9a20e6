"""`suffice spend`: what was spent, and what routing saved."""

from __future__ import annotations

import time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.cli.formats import usd
from suffice.cli.setting import JsonOption
from suffice.cli.store import SinceOption, StoreOption, opened, since
from suffice.protocols import Spend


class By(StrEnum):
    """What is summed over."""

    candidate = "candidate"
    tenant = "tenant"
    key_id = "key_id"
    user = "user"
    day = "day"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("spend")(_spend)


def _spend(
    by: Annotated[By, typer.Option(help="One row for each.")] = By.candidate,
    since_text: SinceOption = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant's alone.")] = None,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was spent, and what the strongest model would have cost instead (an estimate)."""
    with opened(store_url) as store:
        rows = store.spend(by=by.value, tenant=tenant, since=since(since_text, time.time()))
    if as_json:
        print_json(rows)
        return
    if not rows:
        notes.print("nothing was spent yet", style="dim")
        return
    console.print(_table(by.value, rows))
    n_unpriced = sum(row.n_unpriced for row in rows)
    if n_unpriced:
        notes.print(
            f"[yellow]note:[/] the cost of {n_unpriced} requests is unknown and in no sum; "
            "`suffice models` shows whose price is missing"
        )


def _table(by: str, rows: list[Spend]) -> Table:
    table = Table(box=None, pad_edge=False, caption="saved: (estimate)", caption_justify="left")
    for title in (
        by,
        "requests",
        "failed",
        "unpriced",
        "tokens in",
        "tokens out",
        "cost",
        "saved",
    ):
        table.add_column(title, justify="left" if title == by else "right")
    for row in rows:
        table.add_row(
            escape(row.group or ("nobody" if by == "candidate" else "")),
            *(f"{count:,}" for count in (row.n_requests, row.n_failed, row.n_unpriced)),
            f"{row.prompt_tokens:,}",
            f"{row.completion_tokens:,}",
            usd(row.cost_usd),
            usd(row.saving_usd),
        )
    if len(rows) > 1:
        table.add_section()
        table.add_row(
            "all",
            *(
                f"{sum(getattr(row, name) for row in rows):,}"
                for name in ("n_requests", "n_failed", "n_unpriced", "prompt_tokens", "completion_tokens")
            ),
            usd(sum((Decimal(row.cost_usd) for row in rows), Decimal(0))),
            usd(sum((Decimal(row.saving_usd) for row in rows), Decimal(0))),
        )
    return table
