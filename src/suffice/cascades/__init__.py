"""Cascades: ask, look at the answer, ask on or accept. They decide; `suffice.plans` calls the models."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from suffice.cascades.artefact import read_cascade, read_manifest, write_cascade
from suffice.cascades.base import Cascade, Move, Seen, accept, ask, can_pay, last_spoken, signals_of
from suffice.cascades.play import Played, play
from suffice.cascades.recorded import Recorded
from suffice.protocols import Embedder, Router
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
    {
        "confidence": f"{_HERE}.threshold:ConfidenceCascade",
        "automix_threshold": f"{_HERE}.automix.threshold:Threshold",
        "automix_double_threshold": f"{_HERE}.automix.double_threshold:DoubleThreshold",
        "automix_pomdp": f"{_HERE}.automix.pomdp:Pomdp",
        "automix_self_consistency": f"{_HERE}.automix.self_consistency:SelfConsistency",
        "automix_bayes": f"{_HERE}.automix.bayes:Bayes",
        "frugalgpt": f"{_HERE}.frugalgpt:FrugalGPT",
        "cascade_routing": f"{_HERE}.routing:CascadeRouting",
    },
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


def load_cascade(
    directory: Path, *, embedder: Embedder | None = None, reader: Router | None = None
) -> Cascade:
    """Whichever kind was saved there.

    Parameters
    ----------
    embedder : for kinds that read answers, the one they were fitted with
    reader : for kinds that were fitted with one, the router in the directory's `reader/`

    Raises
    ------
    ArtefactError
        If it is missing, damaged or of another version.
    UnknownName
        If no kind has the name that it was saved under.
    """
    kind = registry.get(read_manifest(Path(directory)).cascade)
    taken = inspect.signature(kind.load).parameters
    given = {"embedder": embedder, "reader": reader}
    options = {name: value for name, value in given.items() if name in taken}
    found: Cascade = kind.load(Path(directory), **options)
    return found
