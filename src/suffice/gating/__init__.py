"""Gates: whether a query is answered from the model's memory, after one look-up, or after several.

They decide; `suffice.retrieval` finds passages and `suffice.plans` calls models. A gate is a cascade
(`suffice.cascades`) whose arms are strategies, so that what plays one plays the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suffice.cascades import read_manifest
from suffice.cascades.artefact import MANIFEST
from suffice.errors import ArtefactError
from suffice.gating.advice import Advice, Situation, advise
from suffice.gating.base import BaseGate, Gate, Pay, Walked
from suffice.gating.table import Strategies
from suffice.registry import Registry

__all__ = [
    "Advice",
    "BaseGate",
    "Gate",
    "Pay",
    "Situation",
    "Strategies",
    "Walked",
    "advise",
    "available",
    "create",
    "get",
    "load_gate",
    "registry",
]

_HERE = "suffice.gating"
registry = Registry(
    "gate",
    "suffice.gates",
    {
        "never": f"{_HERE}.fixed:Never",
        "always": f"{_HERE}.fixed:Always",
        "classifier": f"{_HERE}.classifier:Classifier",
        "utility": f"{_HERE}.utility:UtilityGate",
        "popularity": f"{_HERE}.popularity:Popularity",
        "prefix_margin": f"{_HERE}.prefix_margin:PrefixMargin",
        "confidence_probe": f"{_HERE}.confidence_probe:ConfidenceProbe",
        "stepwise": f"{_HERE}.stepwise:Stepwise",
    },
)


def available() -> tuple[str, ...]:
    """Names of all gates that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, **params: Any) -> Any:
    """A gate by name, to be fitted.

    Raises
    ------
    ConfigError
        If it has no such parameter, or not of that type, or lacks one.
    """
    return registry.create(name, params)


def load_gate(directory: Path) -> Gate:
    """Whichever kind was saved there.

    Raises
    ------
    ArtefactError
        If it is missing, damaged or of another version.
    UnknownName
        If no kind has the name that it was saved under.
    """
    if not (Path(directory) / MANIFEST).is_file():
        raise ArtefactError(f"no gate at {directory}; `suffice gate train --out {directory}` writes one")
    found: Gate = registry.get(read_manifest(Path(directory)).cascade).load(Path(directory))
    return found
