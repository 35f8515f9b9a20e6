"""Which ledger a URL names."""

from __future__ import annotations

from suffice.budgets import Ledger, MemoryLedger
from suffice.errors import ConfigError
from suffice.protocols import Store


def open_ledger(url: str | None, store: Store | None = None) -> Ledger:
    """The authority over budgets; connects to nothing yet.

    Parameters
    ----------
    url : "postgresql://...", "redis://...", "rediss://..." or "unix://..."; None: in the store itself
    store : where None means; a store that keeps no ledger has it in memory

    Raises
    ------
    ConfigError
        If the URL names no ledger.
    MissingDependency
        Without the extra [postgres] or [redis].
    """
    if url is None:
        make = getattr(store, "ledger", None)
        ledger: Ledger = MemoryLedger() if make is None else make()
        return ledger
    if url.startswith(("postgresql:", "postgres:")):
        from suffice.store.ledger_postgres import PostgresLedger

        return PostgresLedger(url)
    if url.startswith(("redis:", "rediss:", "unix:")):
        from suffice.store.ledger_redis import RedisLedger

        return RedisLedger(url)
    raise ConfigError(
        "expected postgresql://... or redis://...; left out, budgets are kept in the store", key="ledger"
    )
