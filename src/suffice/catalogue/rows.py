"""One row of the catalogue, and the compact file that holds them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from suffice.errors import CatalogueError
from suffice.types import Price, PriceTier

CAPABILITIES: Final = {"t": "tools", "v": "vision", "j": "json", "l": "logprobs", "s": "streaming"}
"""The letters that stand for capabilities in the file."""


class CatalogueRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one provider's model."""

    provider: str
    model: str
    """The provider's id for it."""
    aliases: tuple[str, ...] = ()
    price: Price = Price()
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    """Empty is unknown, not none."""
    strength: float | None = None

    @property
    def source(self) -> str:
        return self.price.source

    @property
    def as_of(self) -> str:
        """ISO date of the price."""
        return self.price.as_of


class _FileRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A row as written: prices in USD per million tokens, as text, so that they stay exact."""

    id: str
    into: str = msgspec.field(name="in")
    out: str
    cached: str | None = None
    tiers: tuple[tuple[int, str, str, str | None], ...] = ()
    """(min_prompt_tokens, in, out, cached), ascending."""
    context: int | None = None
    max_out: int | None = None
    can: str = ""
    strength: float | None = None
    alias: tuple[str, ...] = ()
    source: str | None = None
    """None: `sources["default"]`."""
    as_of: str | None = None
    """None: the file's date."""


class CatalogueFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models.json`."""

    as_of: str
    """ISO date of every row that has none of its own."""
    sources: dict[str, str]
    """Short name -> what it is and under which licence; "default" -> the short name most rows have."""
    models: dict[str, tuple[_FileRow, ...]]
    """Provider -> its rows."""


def decode(data: bytes) -> tuple[CatalogueRow, ...]:
    """The rows of a catalogue file.

    Raises
    ------
    CatalogueError
        If it is not one.
    """
    try:
        file = msgspec.json.decode(data, type=CatalogueFile)
        return tuple(
            _from_file(provider, row, file.as_of, file.sources.get("default", ""))
            for provider, rows in file.models.items()
            for row in rows
        )
    except (msgspec.DecodeError, ArithmeticError, KeyError) as error:
        raise CatalogueError(
            f"not a catalogue file: {error}; write it with suffice.catalogue.importer"
        ) from error


def encode(rows: Iterable[CatalogueRow], *, as_of: str, sources: Mapping[str, str]) -> bytes:
    """A catalogue file, one row per line so that changes can be read."""
    default = sources["default"]
    by_provider: dict[str, list[bytes]] = {}
    for row in sorted(rows, key=lambda row: (row.provider, row.model.lower())):
        line = msgspec.json.encode(_to_file(row, as_of, default))
        by_provider.setdefault(row.provider, []).append(line)
    blocks = [
        msgspec.json.encode(provider) + b": [\n" + b",\n".join(lines) + b"\n]"
        for provider, lines in by_provider.items()
    ]
    head = b'{"as_of": %s,\n"sources": %s,\n"models": {\n' % (
        msgspec.json.encode(as_of),
        msgspec.json.encode(dict(sources)),
    )
    return head + b",\n".join(blocks) + b"\n}}\n"


def _from_file(provider: str, row: _FileRow, as_of: str, source: str) -> CatalogueRow:
    return CatalogueRow(
        provider=provider,
        model=row.id,
        aliases=row.alias,
        price=Price(
            input_usd_per_mtok=Decimal(row.into),
            output_usd_per_mtok=Decimal(row.out),
            cached_input_usd_per_mtok=_decimal(row.cached),
            tiers=tuple(
                PriceTier(
                    min_prompt_tokens=least,
                    input_usd_per_mtok=Decimal(into),
                    output_usd_per_mtok=Decimal(out),
                    cached_input_usd_per_mtok=_decimal(cached),
                )
                for least, into, out, cached in row.tiers
            ),
            source=row.source or source,
            as_of=row.as_of or as_of,
        ),
        context_window=row.context,
        max_output_tokens=row.max_out,
        capabilities=frozenset(CAPABILITIES[letter] for letter in row.can),
        strength=row.strength,
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _to_file(row: CatalogueRow, as_of: str, default: str) -> _FileRow:
    price = row.price
    return _FileRow(
        id=row.model,
        into=_written(price.input_usd_per_mtok, row),
        out=_written(price.output_usd_per_mtok, row),
        cached=_plain(price.cached_input_usd_per_mtok),
        tiers=tuple(
            (
                tier.min_prompt_tokens,
                _written(tier.input_usd_per_mtok, row),
                _written(tier.output_usd_per_mtok, row),
                _plain(tier.cached_input_usd_per_mtok),
            )
            for tier in price.tiers
        ),
        context=row.context_window,
        max_out=row.max_output_tokens,
        can="".join(letter for letter, name in CAPABILITIES.items() if name in row.capabilities),
        strength=row.strength,
        alias=row.aliases,
        source=None if price.source == default else price.source,
        as_of=None if price.as_of == as_of else price.as_of,
    )


def _written(value: Decimal | None, row: CatalogueRow) -> str:
    text = _plain(value)
    if text is None:
        raise CatalogueError(f"{row.provider}/{row.model} has no price; leave it out of the catalogue")
    return text


def _plain(value: Decimal | None) -> str | None:
    """ "0.150" -> "0.15"; never in exponent notation."""
    return None if value is None else f"{value.normalize():f}"
