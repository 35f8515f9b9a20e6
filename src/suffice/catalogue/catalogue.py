"""`Catalogue`: what is known of the models one can buy, and where it was read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from importlib import resources
from typing import Any, Final, Self

import msgspec

from suffice.catalogue.pricing import local_price
from suffice.catalogue.rows import CatalogueRow, decode
from suffice.errors import ConfigError
from suffice.types import Candidate, Price

STALE_AFTER_DAYS: Final = 60
LOCAL_PROVIDERS: Final = frozenset({"local", "student"})
PROVIDER_ALIASES: Final = {
    "google": "gemini",
    "google_ai": "gemini",
    "vertex": "gemini",
    "x-ai": "xai",
    "grok": "xai",
    "together_ai": "together",
    "togetherai": "together",
    "fireworks_ai": "fireworks",
    "moonshotai": "moonshot",
    "mistralai": "mistral",
}
_PRICE_FIELDS: Final = (
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cached_input_usd_per_mtok",
    "usd_per_cpu_hour",
)
_FIELDS: Final = ("context_window", "max_output_tokens", "capabilities", "strength")
_DATE_SUFFIX: Final = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{2}|\d{2}-\d{4}|\d{4}|\d{3}|latest)$")


class Catalogue:
    """Models by provider and id, read-only."""

    def __init__(self, rows: Iterable[CatalogueRow]) -> None:
        """Later rows replace earlier ones of the same provider and model."""
        by_key = {(_provider(row.provider), row.model.lower()): row for row in rows}
        self._by_key = by_key
        aliases: dict[tuple[str, str], CatalogueRow] = {}
        for row in by_key.values():
            for alias in row.aliases:
                aliases.setdefault((_provider(row.provider), alias.lower()), row)
        self._by_alias = aliases

    @classmethod
    def load(cls, *, overrides: Sequence[CatalogueRow] = ()) -> Self:
        """The catalogue that ships with the package, with rows of your own put over it.

        Raises
        ------
        CatalogueError
            If the shipped file is damaged.
        """
        data = resources.files("suffice.catalogue").joinpath("models.json").read_bytes()
        return cls((*decode(data), *overrides))

    @property
    def rows(self) -> tuple[CatalogueRow, ...]:
        """Every row, by provider and model."""
        return tuple(self._by_key[key] for key in sorted(self._by_key))

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(sorted({provider for provider, _ in self._by_key}))

    @property
    def as_of(self) -> str:
        """The newest date of a price, as ISO text; empty for an empty catalogue."""
        return max((row.as_of for row in self._by_key.values()), default="")

    @property
    def version(self) -> str:
        """Date and digest of all rows: two catalogues of one version give the same costs."""
        digest = blake2b(msgspec.json.encode(self.rows, order="deterministic"), digest_size=4).hexdigest()
        return f"{self.as_of}-{digest}"

    @staticmethod
    def provider(name: str) -> str:
        """The catalogue's own name of a provider: "google" is "gemini"."""
        return _provider(name)

    def find(self, provider: str, model: str) -> CatalogueRow | None:
        """By exact id, then by alias, then without a trailing date or "latest"; None if unknown.

        Examples
        --------
        >>> Catalogue.load().find("openai", "gpt-4o-mini-2024-07-18").model
        'gpt-4o-mini'
        """
        provider = _provider(provider)
        name = model.lower().removeprefix("models/")
        while True:
            row = self._by_key.get((provider, name)) or self._by_alias.get((provider, name))
            shorter = _DATE_SUFFIX.sub("", name)
            if row is not None or shorter == name:
                return row
            name = shorter

    def candidate(self, name: str, provider: str, model: str, **overrides: Any) -> Candidate:
        """A candidate with everything the catalogue knows, where the caller's word wins.

        Parameters
        ----------
        name : what the panel calls it
        provider, model : as for `find`
        **overrides : any of price, input_usd_per_mtok, output_usd_per_mtok, cached_input_usd_per_mtok,
            usd_per_cpu_hour, context_window, max_output_tokens, capabilities, strength
            Prices in USD as int, str, float or Decimal. None is the same as not given. Once the input or
            the output price is given, the catalogue's tiers do not hold any more; once the input price is
            given, neither does its price for cached input.

        Raises
        ------
        ConfigError
            For an unknown override or a price that is negative or no number.

        Examples
        --------
        >>> Catalogue.load().candidate("small", "openai", "gpt-4o-mini").price.output_usd_per_mtok
        Decimal('0.6')
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        unknown = sorted(set(given) - {"price", *_PRICE_FIELDS, *_FIELDS})
        if unknown:
            raise ConfigError(f"{name}: unknown setting {unknown[0]!r}", key=unknown[0])
        row = self.find(provider, model) or CatalogueRow(provider=provider, model=model)
        known = row.price
        if not known.is_known and _provider(provider) in LOCAL_PROVIDERS:
            known = local_price()
        fields = {key: given.get(key, getattr(row, key)) for key in _FIELDS}
        fields["capabilities"] = frozenset(fields["capabilities"])
        price = _merged(known, _given_price(name, given))
        return Candidate(name=name, provider=provider, model=model, price=price, **fields)

    def staleness(self, today: date) -> str | None:
        """A warning once the newest price is over 60 days old, else None."""
        if not self.as_of:
            return None
        age = (today - date.fromisoformat(self.as_of)).days
        if age <= STALE_AFTER_DAYS:
            return None
        return (
            f"the price catalogue is {age} days old ({self.as_of}): upgrade suffice, "
            "or give current prices in suffice.yaml"
        )


def _provider(name: str) -> str:
    lowered = name.lower()
    return PROVIDER_ALIASES.get(lowered, lowered)


def _given_price(name: str, given: dict[str, Any]) -> Price:
    """The caller's prices, `price` and single fields together."""
    price: Price = given.get("price", Price())
    single: dict[str, Any] = {key: _amount(name, key, given[key]) for key in _PRICE_FIELDS if key in given}
    if not single:
        return price
    return msgspec.structs.replace(price, source=price.source or "configuration", **single)


def _amount(name: str, key: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"{name}: {value!r} is no price; expected USD, at least 0", key=key)
    return amount


def _merged(known: Price, given: Price) -> Price:
    """`given` over `known`, field by field."""
    if given == Price():
        return known
    into, out = given.input_usd_per_mtok, given.output_usd_per_mtok
    if given.usd_per_cpu_hour is not None or (into is not None and out is not None):
        return given
    if known.usd_per_cpu_hour is not None:
        known = Price()  # an assumption by the hour says nothing about prices by the token
    cached = given.cached_input_usd_per_mtok
    if cached is None and into is None:
        cached = known.cached_input_usd_per_mtok
    touches_rates = into is not None or out is not None
    return Price(
        input_usd_per_mtok=known.input_usd_per_mtok if into is None else into,
        output_usd_per_mtok=known.output_usd_per_mtok if out is None else out,
        cached_input_usd_per_mtok=cached,
        tiers=given.tiers if touches_rates or given.tiers else known.tiers,
        source=", ".join(part for part in (given.source, known.source) if part),
        as_of=given.as_of or known.as_of,
    )
