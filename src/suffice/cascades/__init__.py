"""Cascades: ask, look at the answer, ask on or accept. They decide; `suffice.plans` calls the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suffice.cascades.artefact import read_cascade, read_manifest, write_cascade
from suffice.cascades.base import Cascade, Move, Seen, accept, ask, can_pay, last_spoken, signals_of
from suffice.cascades.play import Played, play
from suffice.cascades.recorded import Recorded
from suffice.registry import Registry

__all__ = [
    "Cascade",
    "Move",
    "Played",
    "Recorded",
    "Seen",
    "accept",
    "ask",
    "available",
    "can_pay",
    "create",
    "get",
    "last_spoken",
    "load_cascade",
    "play",
    "read_cascade",
    "read_manifest",
    "registry",
    "signals_of",
    "write_cascade",
]

_HERE = "suffice.cascades"
registry = Registry(
    "cascade",
    "suffice.cascades",
    {},
)


def available() -> tuple[str, ...]:
    """Names of all cascades that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, **params: Any) -> Any:
    """A cascade by name, to be fitted.

    Raises
    ------
    ConfigError
        If it has no such parameter, or not of that type, or lacks one.
    """
    return registry.create(name, params)


def load_cascade(directory: Path) -> Cascade:
    """Whichever kind was saved there.

    Raises
    ------
    ArtefactError
        If it is missing, damaged or of another version.
    UnknownName
        If no kind has the name that it was saved under.
    """
    found: Cascade = registry.get(read_manifest(Path(directory)).cascade).load(Path(directory))
    return found
