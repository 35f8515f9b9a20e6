"""`suffice cache`: what is kept on disk, and forgetting it while gateways run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, print_json
from suffice.cli.setting import JsonOption
from suffice.cli.store import configured
from suffice.cli.store import since as since_time
from suffice.config import DEFAULT_FILE, CacheConfig, Config
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.store.cache_log import CacheLog, Size

_cache = typer.Typer(help="Answers that are given again: status, clear, forget.", no_args_is_help=True)
CacheOption = Annotated[
    str | None, typer.Option("--store", help=f"The cache's URL; that of `cache:` in {DEFAULT_FILE}.")
]
_SQLITE: Final = "sqlite:///"


def register(app: typer.Typer) -> None:
    """Add the group."""
    _cache.command("status")(_status)
    _cache.command("clear")(_clear)
    _cache.command("forget")(_forget)
    app.add_typer(_cache, name="cache")


def _status(store: CacheOption = None, as_json: JsonOption = False) -> None:
    """How many answers are on disk, of whom, since when."""
    with _opened(store) as (cache, url):
        sizes = cache.sizes(time.time())
    if url is None and not as_json:
        console.print(
            "answers are in the memory of gateways alone; GET /metrics counts them", highlight=False
        )
        return
    if as_json:
        listed = [{**one._asdict(), "oldest": one.oldest} for one in sizes]
        print_json({"store": url, "entries": sum(one.n for one in sizes), "parts": listed})
        return
    if not sizes:
        console.print(f"{url}: nothing is kept", highlight=False, soft_wrap=True)
        return
    console.print(_table(sizes))


def _clear(store: CacheOption = None, as_json: JsonOption = False) -> None:
    """Forget all answers, in running gateways too."""
    _gone(store, as_json)


def _forget(
    tag: Annotated[str | None, typer.Option(help="Of `x-suffice-cache-tags`, or of `tags:`.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose answers.")] = None,
    candidate: Annotated[str | None, typer.Option(help="Who gave them.")] = None,
    before: Annotated[str | None, typer.Option(help="Kept before: 30m, 12h, 7d ago, or a date.")] = None,
    record: Annotated[str | None, typer.Option(help="The record that left the answer.")] = None,
    store: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget the answers that meet all that is given, in running gateways too."""
    if tag is not None and record is not None:
        raise ConfigError("--record names one answer; leave out --tag")
    from suffice.store.cache_log import RECORD

    given: dict[str, Any] = {
        "tag": tag if record is None else RECORD + record,
        "tenant": tenant,
        "candidate": candidate,
        "before": since_time(before, time.time(), option="--before"),
    }
    found = {name: value for name, value in given.items() if value is not None}
    if not found:
        raise ConfigError(
            "say what to forget: --tag, --tenant, --candidate, --before or --record; `clear` for all"
        )
    _gone(store, as_json, **found)


def _gone(store: str | None, as_json: bool, **condition: Any) -> None:
    from suffice.store.cache_log import Condition

    with _opened(store) as (cache, url):
        n = cache.forget(Condition(**condition), time.time())
    if as_json:
        print_json({"store": url, "forgotten": n})
    else:
        said = "nothing is on disk" if url is None else f"{n:,} answers on disk forgotten"
        said += "; running gateways forget theirs at their next request"
        console.print(said, highlight=False, soft_wrap=True)


def cache_url(config: Config) -> str | None:
    """Where the caches of a configuration are kept; None: in memory, or there are none."""
    sections = [config.cache, *(section.cache for section in config.pipelines.values())]
    return next((one.store for one in sections if isinstance(one, CacheConfig) and one.store), None)


def _has_cache(config: Config) -> bool:
    return any([config.cache, *(section.cache for section in config.pipelines.values())])


@contextmanager
def _opened(url: str | None) -> Iterator[tuple[CacheLog, str | None]]:
    """The cache's file, which must be there, and its URL; None for the one of caches in memory."""
    from suffice.plans.reuse.configured import memory_url, open_cache

    kept = url or cache_url(config := configured())
    found = kept or (memory_url(config) if _has_cache(config) else None)
    if found is None:
        raise ConfigError(
            f"no cache can be reached: {DEFAULT_FILE} has no `cache:`, or one in memory and its own `store:` "
            "in no SQLite file; then ask with `x-suffice-cache: refresh`, complain by feedback, or restart "
            "the gateway"
        )
    if found.startswith(_SQLITE) and not Path(found.removeprefix(_SQLITE)).exists():
        path = found.removeprefix(_SQLITE)
        raise ConfigError(f"no cache at {path} yet: no gateway has used it; --store names another")
    cache = open_cache(found, mends=False)  # a gateway may be at work on it
    try:
        yield cache, kept
    finally:
        cache.close()


def _table(sizes: list[Size]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("pipeline", "tenant", "candidate", "answers", "expired", "kB", "oldest"):
        table.add_column(title, justify="right" if title in ("answers", "expired", "kB") else "left")
    rest = "(all others)" if any(one.stage for one in sizes) else "(all)"
    for one in sizes:
        oldest = datetime.fromtimestamp(one.oldest, UTC).strftime("%Y-%m-%d %H:%M UTC")
        named = (escape(one.stage or rest), escape(one.tenant), escape(one.candidate))
        table.add_row(*named, f"{one.n:,}", f"{one.n_expired:,}", f"{one.bytes / 1000:,.0f}", oldest)
    return table
