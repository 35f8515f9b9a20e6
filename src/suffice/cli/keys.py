"""`suffice keys`: who may use the gateway, and on behalf of which tenant."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from suffice.budgets import Budget, Ledger
from suffice.cli.base import console, notes, print_json, print_table
from suffice.cli.budgets import made, with_ledger
from suffice.cli.setting import JsonOption
from suffice.cli.store import StoreOption, opened
from suffice.errors import ConfigError, NotFound
from suffice.protocols import Store
from suffice.store import SqliteStore
from suffice.store.consents import SqliteConsents

_LONGEST: Final = 100
"""Of what people name tenants and keys."""
_keys = typer.Typer(help="Make, list and revoke keys of the gateway.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_keys, name="keys")


@_keys.command("create")
def _create(
    tenant: Annotated[str, typer.Option(help="On whose behalf requests with it are made.")] = "default",
    name: Annotated[str, typer.Option(help="For people to tell keys apart.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="May read /metrics from elsewhere.")] = False,
    keep_content: Annotated[
        bool,
        typer.Option("--keep-content", help="Queries and answers are stored: its holder agreed to that."),
    ] = False,
    distill: Annotated[
        bool,
        typer.Option("--distill", help="Its stored records may train models: its holder agreed to that."),
    ] = False,
    usd_per_day: Annotated[
        float | None, typer.Option("--budget-usd-per-day", help="The most it may spend on one day (UTC).")
    ] = None,
    usd_per_month: Annotated[
        float | None, typer.Option("--budget-usd-per-month", help="The most it may spend in one month (UTC).")
    ] = None,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key; its secret is shown this once."""
    from suffice.store import new_key

    for option, text in (("--tenant", tenant), ("--name", name)):
        if not text.isprintable() or len(text) > _LONGEST or (option == "--tenant" and not text.strip()):
            raise typer.BadParameter(
                f"{text[:_LONGEST]!r} is no name: expected up to {_LONGEST} visible characters",
                param_hint=option,
            )
    if distill and not keep_content:
        raise typer.BadParameter(
            "nothing is kept to learn from without --keep-content", param_hint="--distill"
        )
    secret, key, digest = new_key(tenant, name=name, is_admin=admin, keep_content=keep_content)
    for every, usd in (("day", usd_per_day), ("month", usd_per_month)):
        if usd is not None:  # before the key is there to be used
            budget = made(f"{key.id}.{every}", per="key", only=key.id, usd=usd, every=every)
            with_ledger(store_url, partial(_set_budget, budget), must_exist=False)
    with opened(store_url, must_exist=False) as store:
        store.add_key(key, digest)
        if distill:
            _consents(store).allow(key.id, key.created_at)
    if as_json:
        print_json({"secret": secret, "key": key})
        return
    console.print(secret, highlight=False, soft_wrap=True)
    notes.print(f"{key.id} of tenant {tenant}: shown this once, kept only as a hash", style="dim")


@_keys.command("list")
def _list(store_url: StoreOption = None, as_json: JsonOption = False) -> None:
    """List keys, without their secrets."""
    with opened(store_url) as store:
        found = store.keys()
        consents = store.consents().since() if isinstance(store, SqliteStore) else {}
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "tenant", "name", "begins with", "made", "rights", "state"):
        whole = {"id": [key.id for key in found], "begins with": [key.prefix for key in found]}
        width = max(map(len, (*whole.get(title, ()), title)))
        table.add_column(title, no_wrap=title in ("made", *whole), min_width=width, overflow="fold")
    for key in found:
        words = {"admin": key.is_admin, "content kept": key.keep_content, "may train": key.id in consents}
        rights = [said for said, has in words.items() if has]
        table.add_row(
            key.id,
            escape(key.tenant),
            escape(key.name),
            key.prefix,
            _day(key.created_at),
            ", ".join(rights),
            "[green]good[/]" if key.revoked_at is None else f"[red]revoked {_day(key.revoked_at)}[/]",
        )
    print_table(table)


@_keys.command("revoke")
def _revoke(
    key_id: Annotated[str, typer.Argument(help="As `suffice keys list` shows it.")],
    store_url: StoreOption = None,
) -> None:
    """End a key; a running gateway refuses it within a second."""
    with opened(store_url) as store:
        if not store.revoke_key(key_id, time.time()):
            raise NotFound(f"no valid key has the id {key_id!r}; `suffice keys list` shows them")
    console.print(f"revoked {key_id}", highlight=False)


@_keys.command("consent")
def _consent(
    key_id: Annotated[str, typer.Argument(help="As `suffice keys list` shows it.")],
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Its records may not, earlier ones neither.")
    ] = False,
    store_url: StoreOption = None,
) -> None:
    """Let records that a key makes from now on become training data (`suffice distill`)."""
    with opened(store_url) as store:
        if not withdraw:
            _consents(store).allow(key_id, time.time())
        elif not _consents(store).withdraw(key_id):
            raise NotFound(f"{key_id!r} had not consented")
    said = "may not be learnt from" if withdraw else "may be learnt from, from now on, where content is kept"
    console.print(f"records of {key_id} {said}", highlight=False)


def _consents(store: Store) -> SqliteConsents:
    if not isinstance(store, SqliteStore):
        raise ConfigError("training data comes from records in SQLite only")
    return store.consents()


async def _set_budget(budget: Budget, ledger: Ledger) -> None:
    await ledger.set_budget(budget)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d")
