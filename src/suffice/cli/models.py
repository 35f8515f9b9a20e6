"""`suffice models`: the panel or the whole catalogue, with prices, limits and where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.types import Candidate

if TYPE_CHECKING:
    from suffice.catalogue import Catalogue

_UNKNOWN = "[dim]unknown[/]"
_COLUMNS = ("name", "provider", "model", "in $/M", "out $/M", "cached in", "context", "can", "source")
_WIDE = 120
"""Columns from which on there is room for all of these."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(_models)


def _models(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path("suffice.yaml"),
    list_all: Annotated[bool, typer.Option("--all", help="The whole catalogue, not the panel.")] = False,
    provider: Annotated[
        str | None, typer.Option(help="One provider's models in the catalogue, not the panel.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """List models with their prices and limits."""
    from suffice.catalogue import Catalogue

    catalogue = Catalogue.load()
    is_panel = provider is None and not list_all
    listed = _panel(config) if is_panel else _catalogued(catalogue, provider)
    warning = catalogue.staleness(datetime.now(UTC).date())
    if as_json:
        entries = [_entry(candidate) for candidate in listed]
        print_json({"prices": catalogue.version, "warning": warning, "models": entries})
        return
    title = f"Panel of {config}" if is_panel else f"Catalogue of {catalogue.as_of}"
    console.print(_table(title, listed, is_panel=is_panel))
    for note in (*_remarks(listed), *([warning] if warning else [])):
        notes.print(f"[yellow]note:[/] {escape(note)}", highlight=False, soft_wrap=True)


class _Environment(dict[str, str]):
    """The process's variables, with empty ones for those that are not set: a listing needs no keys."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, "" if default is None else default)


def _panel(path: Path) -> list[Candidate]:
    from suffice.config import load

    if not path.is_file():
        notes.print("[dim]`suffice models --all` lists the catalogue without a configuration[/]")
    config = load(path, _Environment(os.environ))
    from suffice.build import panel  # wires everything: only once there is something to wire

    return panel(config)


def _catalogued(catalogue: Catalogue, provider: str | None) -> list[Candidate]:
    from suffice.errors import UnknownName

    names = catalogue.providers if provider is None else (catalogue.provider(provider),)
    if provider is not None and names[0] not in catalogue.providers:
        raise UnknownName("provider", provider, catalogue.providers)
    return [
        catalogue.candidate(row.model, row.provider, row.model)
        for row in catalogue.rows
        if catalogue.provider(row.provider) in names
    ]


def _entry(candidate: Candidate) -> dict[str, Any]:
    """One model in JSON: prices as text, so that they stay exact; null is unknown."""
    price = candidate.price
    return {
        "name": candidate.name,
        "provider": candidate.provider,
        "model": candidate.model,
        "input_usd_per_mtok": _text(price.input_usd_per_mtok),
        "output_usd_per_mtok": _text(price.output_usd_per_mtok),
        "cached_input_usd_per_mtok": _text(price.cached_input_usd_per_mtok),
        "tiers": [
            {
                "min_prompt_tokens": tier.min_prompt_tokens,
                "input_usd_per_mtok": _text(tier.input_usd_per_mtok),
                "output_usd_per_mtok": _text(tier.output_usd_per_mtok),
                "cached_input_usd_per_mtok": _text(tier.cached_input_usd_per_mtok),
            }
            for tier in price.tiers
        ],
        "usd_per_cpu_hour": _text(price.usd_per_cpu_hour),
        "context_window": candidate.context_window,
        "max_output_tokens": candidate.max_output_tokens,
        "capabilities": sorted(candidate.capabilities) or None,
        "strength": candidate.strength,
        "source": price.source or None,
        "as_of": price.as_of or None,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _table(title: str, listed: Sequence[Candidate], *, is_panel: bool) -> Table:
    is_wide = console.width >= _WIDE
    caption = "prices in USD per million tokens" + ("" if is_wide else "; `--json` shows more")
    table = Table(title=title, caption=caption, title_justify="left", box=None, pad_edge=False)
    columns = [
        name
        for name in _COLUMNS
        if (is_panel or name != "name")
        and (is_wide or name not in ("provider", "cached in", "can", "source"))
    ]
    for name in columns:
        is_number = name in ("in $/M", "out $/M", "cached in", "context")
        table.add_column(
            name,
            style={"name": "bold", "source": "dim"}.get(name),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
        )
    for candidate in listed:
        cells = _cells(candidate)
        table.add_row(*(cells[name] for name in columns))
    return table


def _cells(candidate: Candidate) -> dict[str, str]:
    """Column -> text."""
    price = candidate.price
    rates = [price.input_usd_per_mtok, price.output_usd_per_mtok]
    shown = [_text(rate) or _UNKNOWN for rate in rates]
    if price.usd_per_cpu_hour is not None:
        shown = [f"{_text(price.usd_per_cpu_hour)} per", "core hour"]
    if price.tiers:
        shown = [f"{rate}+" for rate in shown]
    window = candidate.context_window
    return {
        "name": escape(candidate.name),
        "provider": escape(candidate.provider),
        "model": escape(candidate.model),
        "in $/M": shown[0],
        "out $/M": shown[1],
        "cached in": _text(price.cached_input_usd_per_mtok) or "",
        "context": _UNKNOWN if window is None else f"{window:,}",
        "can": " ".join(sorted(candidate.capabilities - {"streaming"})) or _UNKNOWN,
        "source": escape(" ".join(part for part in (price.source, price.as_of) if part)),
    }


def _remarks(listed: Sequence[Candidate]) -> Iterable[str]:
    """What a reader of the table should know."""
    unpriced = [candidate.name for candidate in listed if not candidate.price.is_known]
    if unpriced:
        yield (
            f"no price is known for {', '.join(unpriced)}: their costs stay unknown, and no budget "
            "admits them; give input_usd_per_mtok and output_usd_per_mtok in suffice.yaml"
        )
    assumed = [candidate.name for candidate in listed if candidate.price.source == "assumption"]
    if assumed:
        names = ", ".join(assumed)
        yield f"the price per core hour of {names} is an assumption: set usd_per_cpu_hour to yours"
    if any(candidate.price.tiers for candidate in listed):
        yield "a price with + rises for long prompts (`--json` has the tiers)"
