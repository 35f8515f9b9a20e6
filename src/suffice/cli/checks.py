"""What `suffice doctor` looks at on this machine: Python, packages, prices, the store, the port."""

from __future__ import annotations

import importlib.metadata
import json
import sqlite3
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from suffice.catalogue import Catalogue
from suffice.config import Config
from suffice.errors import ConfigError, StoreError

REQUIRED: Final = ("numpy", "msgspec", "httptools", "pyyaml", "pyarrow", "typer", "rich")
EXTRAS: Final = {
    "xllamacpp": "local",
    "onnxruntime": "embed",
    "tokenizers": "embed",
    "genai-prices": "prices",
    "scikit-learn": "train",
    "lightgbm": "train",
    "torch": "torch",
    "transformers": "torch",
    "uvloop": "",
}
_SQLITE: Final = "sqlite:///"

Status = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
    """What to do, where something is to be done."""


def check_python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    is_new = sys.version_info >= (3, 11)
    remedy = "" if is_new else "install Python 3.11 or newer"
    yield Finding(name="python", status="ok" if is_new else "fail", detail=version, remedy=remedy)


def check_packages() -> Iterator[Finding]:
    """Required ones must be there; of the others it says what they would bring."""
    import suffice

    found = {name: _version(name) for name in (*REQUIRED, *EXTRAS)}
    shown = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    missing = [name for name in REQUIRED if found[name] is None]
    yield Finding(
        name="packages",
        status="fail" if missing else "ok",
        detail=f"suffice {suffice.__version__}, {shown}",
        remedy=f"pip install {' '.join(missing)}" if missing else "",
    )
    absent = [f"{name} [{extra}]" if extra else name for name, extra in EXTRAS.items() if found[name] is None]
    if absent:
        yield Finding(name="extras", status="ok", detail=f"not installed: {', '.join(absent)}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_prices() -> Iterator[Finding]:
    """How old the catalogue is."""
    catalogue = Catalogue.load()
    stale = catalogue.staleness(datetime.now(UTC).date())
    detail = f"catalogue of {catalogue.as_of}, {len(catalogue.rows)} models"
    yield Finding(name="prices", status="warn" if stale else "ok", detail=detail, remedy=stale or "")


def check_store(config: Config) -> Iterator[Finding]:
    """Opens, takes a write, is undamaged, lost nothing. A store that is not there yet is not made."""
    from suffice.store import open_store

    path = Path(config.store.removeprefix(_SQLITE)) if config.store.startswith(_SQLITE) else None
    if path is not None and str(path) != ":memory:" and not path.exists():
        folder = path.parent
        status: Status = "ok" if folder.is_dir() else "fail"
        remedy = "" if folder.is_dir() else f"create the folder {folder}, or change `store:`"
        yield Finding(name="store", status=status, detail=f"{config.store}: not there yet", remedy=remedy)
        return
    try:
        store = open_store(config.store)
        try:
            stats = store.stats()
        finally:
            store.close()
        damage = None if path is None else _damage(path)
    except (ConfigError, StoreError) as error:
        yield Finding(name="store", status="fail", detail=str(error), remedy="see the message")
        return
    yield _store_finding(config.store, stats, damage)


def _store_finding(url: str, stats: Any, damage: str | None) -> Finding:
    if damage is not None:
        remedy = f"restore a backup, or: sqlite3 {url.removeprefix(_SQLITE)} .recover | sqlite3 recovered.db"
        return Finding(name="store", status="fail", detail=f"{url}: {damage}", remedy=remedy)
    losses = stats.get("lost") or {}
    lost = {reason: amount["records"] for reason, amount in losses.items()}
    if lost:
        said = ", ".join(f"{n} {reason}" for reason, n in lost.items())
        remedy = "records were lost when a process was killed or the disk was full: spend is too low by them"
        return Finding(name="store", status="warn", detail=f"{url}: lost {said}", remedy=remedy)
    return Finding(name="store", status="ok", detail=f"{url}: opens, undamaged, nothing lost")


def _damage(path: Path) -> str | None:
    """What SQLite's quick check finds; None for a sound file."""
    if str(path) == ":memory:":
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None if said == "ok" else str(said)


def check_cache(config: Config) -> Iterator[Finding]:
    """Rewriting models can say how sure they are. What is kept on disk opens, and is undamaged."""
    from suffice.build import check_rewriting
    from suffice.cli.cache import cache_url
    from suffice.plans.reuse.configured import open_cache

    try:
        check_rewriting(config)
    except ConfigError as error:
        yield Finding(name="cache", status="fail", detail=str(error), remedy="see the message")
    url = cache_url(config)
    if url is None:
        return
    path = Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
    if path is not None and not path.exists():
        yield Finding(name="cache", status="ok", detail=f"{url}: not there yet")
        return
    try:
        damage = None if path is None else _damage(path)
        if damage is not None:
            detail, remedy = f"{url}: {damage}", "a gateway moves it aside when it starts, and begins anew"
            yield Finding(name="cache", status="warn", detail=detail, remedy=remedy)
            return
        cache = open_cache(url, mends=False)
        try:
            n = sum(one.n for one in cache.sizes(datetime.now(UTC).timestamp()))
        finally:
            cache.close()
    except (ConfigError, StoreError) as error:
        yield Finding(name="cache", status="fail", detail=str(error), remedy="see the message")
        return
    yield Finding(name="cache", status="ok", detail=f"{url}: {n:,} answers, undamaged")


def check_port(config: Config) -> Iterator[Finding]:
    """Free, or taken by a gateway of ours."""
    from suffice.gateway.server import bind

    host, port = config.gateway.host, config.gateway.port
    try:
        bind(host, port).close()
    except ConfigError as error:
        if _is_gateway(host, port):
            yield Finding(name="port", status="ok", detail=f"{host}:{port}: a gateway is running there")
            return
        yield Finding(
            name="port",
            status="warn",
            detail=str(error),
            remedy="change gateway.port, or suffice up --port N",
        )
        return
    yield Finding(name="port", status="ok", detail=f"{host}:{port} is free")


def _is_gateway(host: str, port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}/health", timeout=1) as response:
            return bool(json.loads(response.read(10_000)).get("status") == "ok")
    except (OSError, ValueError, AttributeError):
        return False
