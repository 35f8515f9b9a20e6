"""What the commands over the store share: which store, since when."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from suffice.config import DEFAULT_FILE, Config, load
from suffice.errors import ConfigError
from suffice.protocols import Store

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help=f"The store's URL; that of {DEFAULT_FILE}, else sqlite:///suffice.db."),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="30m, 12h, 7d, 4w, or a date such as 2026-11-01.")
]
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class _NoKeys(dict[str, str]):
    """The process's variables, with empty ones for those that are not set: reading a store needs none."""

    def get(self, key: str, default: str | None = None) -> str:  # type: ignore[override]
        return super().get(key, "" if default is None else default)


@contextmanager
def opened(url: str | None, *, must_exist: bool = True) -> Iterator[Store]:
    """The store of a URL, of the configuration, or the default one; closed at the end.

    Raises
    ------
    ConfigError
        If there is no such database yet and one is needed.
    """
    from suffice.store import open_store

    found = url or configured().store
    path = Path(found.removeprefix("sqlite:///"))
    if must_exist and found.startswith("sqlite:///") and not path.exists():
        raise ConfigError(
            f"no store at {path} yet: `suffice up` or `suffice demo` makes one, --store names another"
        )
    store = open_store(found)
    try:
        yield store
    finally:
        store.close()


def configured() -> Config:
    """`suffice.yaml` of the working directory, or the defaults; keys may be missing."""
    return load(DEFAULT_FILE, _NoKeys(os.environ)) if Path(DEFAULT_FILE).exists() else Config()


def since(text: str | None, now: float, *, option: str = "--since") -> float | None:
    """Unix seconds of "7d" before now, or of a date (UTC where it says no zone).

    Examples
    --------
    >>> since("2h", 10_000.0)
    2800.0
    """
    if text is None:
        return None
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text.strip())
    if ago is not None:
        return now - float(ago.group(1)) * _UNITS_S[ago.group(2)]
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r} is no time; expected 30m, 12h, 7d, 4w or a date such as 2026-11-01"
        ) from None
    return (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()
