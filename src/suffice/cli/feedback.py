"""`suffice feedback`: a word on an answer, straight into the store."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from suffice.cli.base import console, print_json
from suffice.cli.setting import JsonOption
from suffice.cli.store import StoreOption, opened
from suffice.errors import NotFound
from suffice.types import Feedback


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("feedback")(_feedback)


def _feedback(
    record_id: Annotated[str, typer.Argument(help="The record's id: x-suffice-id of the answer.")],
    value: Annotated[float, typer.Argument(help="How good the answer was, in [0, 1].")],
    name: Annotated[
        str, typer.Option(help="The metric; any number is allowed for one of your own.")
    ] = "score",
    comment: Annotated[str | None, typer.Option(help="In words.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only if it is this tenant's record.")] = None,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how good an answer was."""
    with opened(store_url) as store:
        record = store.record(record_id, tenant)
        if record is None:
            raise NotFound(f"there is no record {record_id!r}; `suffice records` lists those there are")
        word = Feedback(
            record_id=record_id,
            tenant=record.tenant,
            created_at=time.time(),
            name=name,
            value=value,
            comment=comment,
        )
        asyncio.run(store.add_feedback(word))
    if as_json:
        print_json(word)
    else:
        console.print(f"kept: {name} {value:g} for {record_id}", highlight=False)
