"""Writes `models.json` from the genai-prices package and, for capabilities, litellm's price file.

    python -m suffice.catalogue.importer --as-of 2026-11-23 --litellm-json FILE

Needs `pip install 'suffice[prices]'`. Nothing is downloaded: both inputs are files on disk.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice.catalogue.capabilities import Capabilities
from suffice.catalogue.rows import CatalogueRow, encode
from suffice.errors import MissingDependency
from suffice.types import Price, PriceTier

logger = logging.getLogger(__name__)

PROVIDERS: Final = {
    "anthropic": "anthropic",
    "azure": "azure",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "gemini",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshotai": "moonshot",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "x-ai": "xai",
    "zai": "zai",
}
"""genai-prices' provider -> ours."""
OPENROUTER_AUTHORS: Final = (
    *("openai", "anthropic", "google", "mistralai", "deepseek", "x-ai", "meta-llama", "qwen", "cohere"),
    *("moonshotai", "z-ai", "minimax", "microsoft", "nvidia", "amazon"),
)
"""The full list of resold models would be most of the file."""
NOT_CHAT: Final = re.compile(
    r"embed|whisper|tts|transcri|audio|realtime|moderation|rerank|image|dall-e|sora|veo|imagen|orpheus|voice|"
    r"live|ocr|guard|robotics|banana|omni-(1|flash)|computer-use|deep-research|search|parse|babbage|davinci|"
    r"^ada$|^curie$|^ft:|ft-$|-Base|streaming|:free|:batch|:beta|:extended|:thinking|:nitro|:online"
)
SOURCE: Final = "genai-prices"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--as-of", required=True, type=date.fromisoformat, help="day of the prices, ISO")
    parser.add_argument("--litellm-json", type=Path, help="model_prices_and_context_window_backup.json")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("models.json"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    written = importlib.metadata.version("genai-prices") if _providers() else ""
    sources = {"default": SOURCE, SOURCE: f"genai-prices {written} (MIT), standard prices on the day"}
    capabilities = None
    if options.litellm_json is not None:
        capabilities = Capabilities.read(options.litellm_json)
        sources["capabilities"] = "litellm, model_prices_and_context_window_backup.json (MIT)"
    rows = import_rows(options.as_of, capabilities)
    data = encode(rows, as_of=options.as_of.isoformat(), sources=sources)
    options.out.write_bytes(data)
    logger.info("%d models, %d bytes, written to %s", len(rows), len(data), options.out)


def import_rows(as_of: date, capabilities: Capabilities | None = None) -> list[CatalogueRow]:
    """Chat models of the main providers with their standard prices on that day.

    Raises
    ------
    MissingDependency
        If genai-prices is not installed.
    """
    rows = []
    for source in _providers():
        if source.id in PROVIDERS:
            made = (_row(PROVIDERS[source.id], model, as_of, capabilities) for model in source.models)
            rows.extend(_without_clashes([row for row in made if row is not None]))
    return rows


def _providers() -> list[Any]:
    try:
        from genai_prices.data import providers
    except ImportError as error:
        raise MissingDependency("genai-prices", "prices", "importing the price catalogue") from error
    return list(providers)


def _row(provider: str, model: Any, as_of: date, capabilities: Capabilities | None) -> CatalogueRow | None:
    """None for what is no chat model or has no price for text. Retired ones stay: old names live long."""
    if NOT_CHAT.search(model.id) or not _is_wanted(provider, model.id):
        return None
    price = _price(model, as_of)
    if price is None:
        return None
    row = CatalogueRow(
        provider=provider,
        model=model.id,
        aliases=tuple(alias for alias in _aliases(model.match) if alias.lower() != model.id.lower()),
        price=price,
        context_window=model.context_window,
    )
    return row if capabilities is None else capabilities.add_to(row)


def _is_wanted(provider: str, model: str) -> bool:
    if provider == "gemini":
        return model.startswith(("gemini", "gemma"))  # other makers' models there are sold through Vertex
    return provider != "openrouter" or model.partition("/")[0] in OPENROUTER_AUTHORS


def _aliases(clause: Any) -> Iterable[str]:
    """Names that the clause matches exactly, or as a prefix (a date may follow)."""
    for part in getattr(clause, "or_", (clause,)):
        name = getattr(part, "equals", None) or getattr(part, "starts_with", None)
        if name and name[-1].isalnum():
            yield name


def _without_clashes(rows: list[CatalogueRow]) -> list[CatalogueRow]:
    """The rows with only such aliases as belong to one model alone."""
    ids = {row.model.lower() for row in rows}
    owners: dict[str, int] = {}
    for row in rows:
        for alias in {alias.lower() for alias in row.aliases}:
            owners[alias] = owners.get(alias, 0) + 1
    return [
        msgspec.structs.replace(
            row,
            aliases=tuple(
                alias
                for alias in dict.fromkeys(row.aliases)
                if alias.lower() not in ids and owners[alias.lower()] == 1
            ),
        )
        for row in rows
    ]


def _price(model: Any, as_of: date) -> Price | None:
    """The dearest standard price of the day: where it changes by the hour, budgets need the upper bound."""
    prices = model.prices if isinstance(model.prices, list) else [model]
    by_day = [
        entry.prices
        for entry in prices
        if getattr(getattr(entry, "constraint", None), "start_time", None) is None
        and _has_begun(getattr(entry, "constraint", None), as_of)
    ]
    by_hour = [
        entry.prices
        for entry in prices
        if getattr(getattr(entry, "constraint", None), "start_time", None) is not None
    ]
    made = [_made(price, as_of) for price in (*by_day[-1:], *by_hour)]
    known = [price for price in made if price is not None]
    return max(known, key=_output_rate, default=None)


def _has_begun(constraint: Any, as_of: date) -> bool:
    return constraint is None or constraint.start_date <= as_of


def _output_rate(price: Price) -> Decimal:
    return price.output_usd_per_mtok or Decimal(0)


def _made(price: Any, as_of: date) -> Price | None:
    rates = [price.input_mtok, price.output_mtok, price.cache_read_mtok]
    into, out, cached = map(_base, rates)
    if into is None or out is None or (into == 0 and out == 0):
        return None
    # crossing a tier's start makes it hold: one token more than `start`
    starts = sorted({tier.start for rate in rates for tier in getattr(rate, "tiers", ())})
    tiers = []
    for start in starts:
        tier_in, tier_out, tier_cached = (_at(rate, start) for rate in rates)
        assert tier_in is not None and tier_out is not None
        tiers.append(
            PriceTier(
                min_prompt_tokens=start + 1,
                input_usd_per_mtok=tier_in,
                output_usd_per_mtok=tier_out,
                cached_input_usd_per_mtok=tier_cached,
            )
        )
    return Price(
        input_usd_per_mtok=into,
        output_usd_per_mtok=out,
        cached_input_usd_per_mtok=cached,
        tiers=tuple(tiers),
        source=SOURCE,
        as_of=as_of.isoformat(),
    )


def _base(rate: Any) -> Decimal | None:
    value = getattr(rate, "base", rate)
    return None if value is None else Decimal(value)


def _at(rate: Any, start: int) -> Decimal | None:
    """The rate of a prompt just longer than `start`."""
    reached = [tier.price for tier in getattr(rate, "tiers", ()) if tier.start <= start]
    return Decimal(reached[-1]) if reached else _base(rate)


if __name__ == "__main__":
    main()
