"""What models can do, from litellm's price file (read by the importer only)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from suffice.catalogue.rows import CatalogueRow
from suffice.errors import DataError

PREFIXES: Final = {
    "anthropic": ("", "anthropic/"),
    "azure": ("azure/",),
    "cerebras": ("cerebras/",),
    "cohere": ("", "cohere/"),
    "deepseek": ("deepseek/", ""),
    "fireworks": ("fireworks_ai/accounts/fireworks/models/", "fireworks_ai/"),
    "gemini": ("gemini/", ""),
    "groq": ("groq/",),
    "minimax": ("minimax/",),
    "mistral": ("mistral/",),
    "moonshot": ("moonshot/",),
    "openai": ("", "openai/"),
    "perplexity": ("perplexity/",),
    "together": ("together_ai/",),
    "xai": ("xai/",),
    "zai": ("zai/",),
}
"""Our provider -> how its keys begin there."""
RESOLD: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
    "mistralai": "mistral",
    "deepseek": "deepseek",
    "x-ai": "xai",
    "z-ai": "zai",
    "moonshotai": "moonshot",
}
"""A reseller's author -> the provider whose own entry says what the model can do."""
FLAGS: Final = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json",
}
CHAT_MODES: Final = frozenset({"chat", "responses", "completion"})
_DATED: Final = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{4}|latest)$")


class Capabilities:
    """Looks models up in litellm's table."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries = {key.lower(): entry for key, entry in entries.items()}
        undated: dict[str, Mapping[str, Any]] = {}
        for key in sorted(self._entries, reverse=True):  # the newest of several dates
            undated.setdefault(_DATED.sub("", key), self._entries[key])
        self._undated = undated

    @classmethod
    def read(cls, path: Path) -> Self:
        """The table in a file.

        Raises
        ------
        DataError
            If the file cannot be read as one.
        """
        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]]))
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(f"cannot be read as litellm's price table: {error}", file=str(path)) from error

    def add_to(self, row: CatalogueRow) -> CatalogueRow | None:
        """The row with capabilities and limits; None if it is no chat model.

        Models past their `deprecation_date` stay: they are asked under old names for a long time.
        """
        entry = self._find(row)
        if entry is None:
            return row
        if entry.get("mode", "chat") not in CHAT_MODES:
            return None
        can = {name for flag, name in FLAGS.items() if entry.get(flag)}
        return msgspec.structs.replace(
            row,
            capabilities=frozenset(can | {"streaming"}) if can else frozenset(),
            context_window=row.context_window or _count(entry.get("max_input_tokens")),
            max_output_tokens=_count(entry.get("max_output_tokens")),
        )

    def _find(self, row: CatalogueRow) -> Mapping[str, Any] | None:
        for key in _keys(row):
            entry = self._entries.get(key) or self._undated.get(_DATED.sub("", key))
            if entry is not None:
                return entry
        return None


def _keys(row: CatalogueRow) -> Iterator[str]:
    """Where the row may stand, likeliest first."""
    names = [row.model, *row.aliases]
    provider = row.provider
    if provider == "openrouter":
        author = row.model.partition("/")[0]
        if author not in RESOLD:
            return
        provider = RESOLD[author]
        names = [name.partition("/")[2] or name for name in names]
        if provider == "anthropic":
            names += [name.replace(".", "-") for name in names]
    for name in names:
        for prefix in PREFIXES[provider]:
            yield (prefix + name).lower()


def _count(value: Any) -> int | None:
    """A limit in tokens; some entries give it as text, some as 0."""
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None
