"""`suffice budgets`: what may be spent, what is spent and held, and budgets set while gateways run."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from suffice._yaml import explained
from suffice.budgets import Budget, Ledger, Use
from suffice.cli.base import console, notes, print_json, print_table
from suffice.cli.setting import JsonOption
from suffice.cli.store import StoreOption, configured, opened
from suffice.cli.strangers import strangers
from suffice.config import DEFAULT_FILE
from suffice.errors import ConfigError, NotFound
from suffice.plans.guard import KEYLESS
from suffice.plans.refusals import number, terms

T = TypeVar("T")
_MOST_SHOWN: Final = 20
"""Subjects of one budget, in a table."""
_budgets = typer.Typer(help="Show, set and clear budgets.", no_args_is_help=True)


class Per(StrEnum):
    """What has the whole limit for itself."""

    request = "request"
    key = "key"
    user = "user"
    team = "team"
    model = "model"
    everything = "global"


class Every(StrEnum):
    """A calendar window."""

    hour = "hour"
    day = "day"
    week = "week"
    month = "month"
    year = "year"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One budget and one of its subjects, in the window of now."""

    budget: Budget
    is_set: bool
    """At run time, beside the configuration."""
    subject: str | None
    """None: nobody has used it in this window."""
    unit: str
    limit: str | int
    """USD as decimal text, or tokens; likewise the following."""
    spent: str | int = 0
    reserved: str | int = 0
    left: str | int = 0
    lost: int = 0
    """Held by processes that died; given back, or charged where the budget says so."""
    resets_at: float | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_budgets, name="budgets")


@_budgets.command("list")
def _list(
    limit: Annotated[
        int | None, typer.Option(min=1, help="Of each budget's users, keys ...; 20, with --json all.")
    ] = None,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every budget with what is spent, held for calls under way, and left; the fullest first."""

    async def read(ledger: Ledger) -> tuple[list[Budget], Mapping[tuple[str, int], Use]]:
        await ledger.apply(())  # what dead processes held is given back
        return await ledger.budgets(), await ledger.uses()

    found, uses = with_ledger(store_url, read, must_exist=False)
    own = configured().budgets
    names = {budget.name for budget in own}
    budgets = [(budget, False) for budget in own]
    budgets += [(budget, True) for budget in found if budget.name not in names]
    most = limit if limit is not None or as_json else _MOST_SHOWN
    lines, n_more = standings(budgets, uses, time.time(), most)
    if as_json:
        print_json(lines)
    elif not lines:
        notes.print(
            f"no budgets: write `budgets:` in {DEFAULT_FILE}, or use `suffice budgets set`", style="dim"
        )
    else:
        print_table(_table(lines))
        if n_more:
            notes.print(f"and {n_more:,} with more left; --limit shows them", style="dim")
    _tell_strangers([budget for budget, _ in budgets], store_url)


@_budgets.command("set")
def _set(
    name: Annotated[str, typer.Argument(help="Letters, digits and _.:-")],
    per: Annotated[Per, typer.Option(help="Each of these has the whole limit for itself.")] = Per.everything,
    only: Annotated[str | None, typer.Option(help="The one key (id), user, team or model it is for.")] = None,
    usd: Annotated[float | None, typer.Option(help="The limit in US dollars.")] = None,
    tokens: Annotated[int | None, typer.Option(help="The limit in tokens, input and output.")] = None,
    every: Annotated[Every | None, typer.Option(help="It begins anew with the calendar.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="Where the calendar of --every hangs, such as Europe/Berlin; UTC.")
    ] = None,
    rolling: Annotated[str | None, typer.Option(help="It is for the last 30m, 24h, 7d ...")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Warn and degrade only, refuse nothing.")] = False,
    clamp: Annotated[bool, typer.Option("--clamp", help="Lower max_tokens to what is left.")] = False,
    max_tokens: Annotated[int | None, typer.Option(help="The limit of requests that set none.")] = None,
    store_url: StoreOption = None,
) -> None:
    """Set a budget; running gateways keep it within a second. In the place of one of that name."""
    fields: dict[str, Any] = {
        "per": per.value,
        "only": only,
        "usd": usd,
        "tokens": tokens,
        "every": None if every is None else every.value,
        "zone": zone,
        "rolling": rolling,
        "hard": not soft,
        "clamp": clamp,
        "max_tokens": max_tokens,
    }
    if zone is not None and every is None:
        raise ConfigError(f"--zone {zone} does nothing without --every: it says when a day or month begins")
    budget = made(name, **fields)
    if per is Per.key and only is not None:
        _check_key(only, store_url)
    with_ledger(store_url, lambda ledger: ledger.set_budget(budget), must_exist=False)
    console.print(f"{name}: {terms(budget)}, per {budget.per}", highlight=False)
    _tell_strangers([budget], store_url)


def _tell_strangers(budgets: Sequence[Budget], store_url: str | None) -> None:
    with opened(store_url, must_exist=False) as store:
        for found in strangers(budgets, store):
            notes.print(
                f"[yellow]{escape(found.detail)}[/]; {escape(found.remedy)}", highlight=False, soft_wrap=True
            )


def _check_key(key_id: str, store_url: str | None) -> None:
    with opened(store_url, must_exist=False) as store:
        known = [key.id for key in store.keys() if key.revoked_at is None]
    if key_id not in (*known, KEYLESS):
        raise ConfigError(
            f"no valid key has the id {key_id!r}, so the budget would hold for nobody; `suffice keys list` "
            f"shows them, {KEYLESS} stands for requests without one"
        )


@_budgets.command("clear")
def _clear(
    name: Annotated[str, typer.Argument(help="As `suffice budgets list` shows it.")],
    store_url: StoreOption = None,
) -> None:
    """Take away a budget that was set; what was spent stays on its books."""
    if not with_ledger(store_url, lambda ledger: ledger.clear_budget(name)):
        raise NotFound(f"no budget {name!r} was set; those of {DEFAULT_FILE} are cleared there")
    console.print(f"cleared {name}", highlight=False)


def made(name: str, **fields: Any) -> Budget:
    """A budget to be set.

    Raises
    ------
    ConfigError
        If it makes no sense, stands in the configuration, or could not be kept for the panel.
    """
    given = {key: value for key, value in fields.items() if value is not None}
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", name):
        raise ConfigError(f"the name of a budget is {name!r}: expected up to 100 letters, digits and _.:-")
    try:
        budget = msgspec.convert({"name": name, **given}, Budget)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$.")
        path = at.removesuffix("`")
        said = explained(what, f"$.{path}", given)
        raise ConfigError(f"--{path.replace('_', '-')}: {said}" if path else what) from None
    config = configured()
    if any(own.name == name for own in config.budgets):
        raise ConfigError(f"the budget {name!r} stands in {DEFAULT_FILE}; change it there")
    if config.models:
        from suffice.build import check_budgets, panel

        check_budgets([budget], panel(config), ["auto", *config.pipelines])
    return budget


def with_ledger(
    store_url: str | None, work: Callable[[Ledger], Awaitable[T]], *, must_exist: bool = True
) -> T:
    """The result of work on the ledger of the configuration, else of the store."""
    from suffice.store import open_ledger

    url = configured().ledger if Path(DEFAULT_FILE).exists() else None

    async def main(ledger: Ledger) -> T:
        try:
            return await work(ledger)
        finally:
            await ledger.close()

    with opened(store_url, must_exist=must_exist and url is None) as store:
        return asyncio.run(main(open_ledger(url, store)))


def standings(
    budgets: Sequence[tuple[Budget, bool]],
    uses: Mapping[tuple[str, int], Use],
    now: float,
    most: int | None = None,
) -> tuple[list[Line], int]:
    """A line per budget and subject with any use in the window of now; one without a subject for none.

    Parameters
    ----------
    most : subjects of one budget; None: all

    Returns
    -------
    lines : of each budget the fullest first
    n_more : that were left out
    """
    lines: list[Line] = []
    n_more = 0
    for budget, is_set in budgets:
        span, start = budget.window.span(now), budget.account("")
        found: dict[str, Use] = {}
        for (account, period), use in uses.items():
            if account.startswith(start) and span.since <= period <= span.until:
                whose = account.removeprefix(start)
                so_far = found.get(whose, Use())
                found[whose] = Use(
                    so_far.spent + use.spent, so_far.reserved + use.reserved, so_far.lost + use.lost
                )
        fullest = sorted(found.items(), key=lambda item: (-item[1].spent - item[1].reserved, item[0]))
        listed: list[tuple[str | None, Use]] = [*fullest[:most]]
        n_more += len(fullest) - len(listed)
        for subject, use in listed or [(None, Use())]:
            left = max(budget.limit - use.spent - use.reserved, 0)
            lines.append(
                Line(
                    budget=budget,
                    is_set=is_set,
                    subject=subject,
                    unit=budget.unit,
                    limit=number(budget.limit, budget),
                    spent=number(use.spent, budget),
                    reserved=number(use.reserved, budget),
                    left=number(left, budget),
                    lost=use.lost,
                    resets_at=span.resets_at,
                )
            )
    return lines, n_more


def _table(lines: Sequence[Line]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("budget", "for", "limit", "spent", "held", "left", "resets"):
        names = [len(line.budget.name) for line in lines] if title == "budget" else [0]
        table.add_column(
            title,
            justify="right" if title in ("spent", "held", "left") else "left",
            min_width=max(*names, len(title)),  # people copy names
            overflow="fold",
        )
    for line in lines:
        budget = line.budget
        of_whom = line.subject if line.subject is not None else budget.only or f"each {budget.per}"
        if budget.per == "key" and budget.name.startswith(of_whom):
            of_whom = "its key"
        kind = "" if budget.hard else " (soft)"
        table.add_row(
            escape(budget.name),
            escape("everything" if budget.per == "global" else of_whom),
            terms(budget) + kind,
            *(
                f"[red]{amount}[/]" if str(amount) == "0" and title == "left" else str(amount)
                for title, amount in (("spent", line.spent), ("held", line.reserved), ("left", line.left))
            ),
            "" if line.resets_at is None else _time(line.resets_at),
        )
    return table


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
