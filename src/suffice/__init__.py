"""Suffice answers every query with the cheapest plan that suffices, and proves it.

The parts are imported when they are first used: `import suffice` itself is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suffice.client import AsyncClient, Client
    from suffice.config import Config
    from suffice.engine import Engine
    from suffice.errors import SufficeError
    from suffice.outcomes import Outcomes, Preferences, Runs
    from suffice.types import Answer, Candidate, Decision, Options, Price, Query, Record, Usage

_HOMES = {
    "Answer": "types",
    "AsyncClient": "client",
    "Candidate": "types",
    "Client": "client",
    "Config": "config",
    "Decision": "types",
    "Engine": "engine",
    "Options": "types",
    "Outcomes": "outcomes",
    "Preferences": "outcomes",
    "Price": "types",
    "Query": "types",
    "Record": "types",
    "Runs": "outcomes",
    "SufficeError": "errors",
    "Usage": "types",
}

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "AsyncClient",
    "Candidate",
    "Client",
    "Config",
    "Decision",
    "Engine",
    "Options",
    "Outcomes",
    "Preferences",
    "Price",
    "Query",
    "Record",
    "Runs",
    "SufficeError",
    "Usage",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
