"""Which routers take part: those named, and under "all" every one that can run here."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
from collections.abc import Sequence

import msgspec

from suffice import routers as registry
from suffice.errors import ConfigError

ALL = "all"


class Entrants(msgspec.Struct, frozen=True, kw_only=True):
    """Routers to train, and those left out."""

    names: tuple[str, ...]
    by_all: frozenset[str]
    """Not named by the user: skipped, with the reason, where the data do not suit them."""
    skipped: dict[str, str]
    """Router -> why."""


def entrants(names: Sequence[str]) -> Entrants:
    """Names with "all" written out, each once.

    A router that the user names is tried whatever is known against it.

    Raises
    ------
    ConfigError
        If no router is named.
    UnknownName
        If one is named that does not exist.
    """
    named = [name for name in names if name != ALL]
    for name in named:
        with contextlib.suppress(ImportError):  # told by the trial, with the reason
            registry.get(name)
    found, skipped = list(named), {}
    for name in registry.available() if ALL in names else ():
        why = None if name in named else why_not(name)
        if why is None:
            found.append(name)
        else:
            skipped[name] = why
    if not found:
        raise ConfigError(f"no router is named: give some of {', '.join(registry.available())}, or all")
    return Entrants(
        names=tuple(dict.fromkeys(found)), by_all=frozenset(found) - frozenset(named), skipped=skipped
    )


def why_not(name: str) -> str | None:
    """Why "all" leaves a router out; None: it takes part."""
    try:
        router = registry.get(name)
    except ImportError as error:
        return f"it needs {error.name or error}, which is not installed"
    reason: str | None = getattr(router, "not_in_all", None)
    if reason is not None:
        return reason
    extra: str | None = getattr(router, "extra", None)
    missing = missing_of(extra) if extra is not None else ()
    if missing:
        return f"it needs {', '.join(missing)}: pip install 'suffice[{extra}]'"
    return None


def missing_of(extra: str) -> tuple[str, ...]:
    """The packages of one of our extras that are not installed."""
    return tuple(package for package in _packages(extra) if not _is_installed(package))


def _packages(extra: str) -> tuple[str, ...]:
    marker = re.compile(rf"extra\s*==\s*[\"']{re.escape(extra)}[\"']")
    needed = [line for line in importlib.metadata.requires("suffice") or () if marker.search(line)]
    return tuple(match[0] for line in needed if (match := re.match(r"[\w.-]+", line)))


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
