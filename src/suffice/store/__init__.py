"""Where records, feedback, keys and spend are kept."""

from __future__ import annotations

from suffice.errors import ConfigError
from suffice.protocols import Store
from suffice.store.keys import digest, new_key
from suffice.store.ledgers import open_ledger
from suffice.store.sqlite import SqliteStore

__all__ = ["SqliteStore", "digest", "new_key", "open_ledger", "open_store"]

_SQLITE = "sqlite:///"


def open_store(url: str) -> Store:
    """The store of a URL.

    Parameters
    ----------
    url : "sqlite:///suffice.db" (relative), "sqlite:////var/lib/suffice.db" (absolute) or "sqlite:///:memory:"

    Raises
    ------
    ConfigError
        If the URL names no store of this version.
    StoreError
        If the database cannot be opened.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteStore(url.removeprefix(_SQLITE))
    if url.startswith(("postgresql:", "postgres:")):
        raise ConfigError(
            "PostgreSQL comes with a later release, as the extra suffice[postgres]; use sqlite:///suffice.db",
            key="store",
        )
    raise ConfigError(
        f"{url!r} names no store; expected sqlite:///suffice.db or sqlite:///:memory:", key="store"
    )
