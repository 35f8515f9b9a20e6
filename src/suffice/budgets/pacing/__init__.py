"""Pacers: how a budget is spread over a stream of queries, never exceeding it."""

from __future__ import annotations

from typing import Any

from suffice.budgets.pacing.base import Pacer, pick
from suffice.budgets.pacing.dual import Dual, Duals
from suffice.budgets.pacing.on_mckp import OnMckp
from suffice.budgets.pacing.resolve import Resolve
from suffice.budgets.pacing.static import Static
from suffice.registry import Registry

__all__ = [
    "Dual",
    "Duals",
    "OnMckp",
    "Pacer",
    "Resolve",
    "Static",
    "available",
    "create",
    "get",
    "pick",
    "registry",
]

registry = Registry(
    "pacing",
    "suffice.pacers",
    {
        "resolve": "suffice.budgets.pacing.resolve:Resolve",
        "dual": "suffice.budgets.pacing.dual:Dual",
        "on_mckp": "suffice.budgets.pacing.on_mckp:OnMckp",
        "static": "suffice.budgets.pacing.static:Static",
    },
)


def available() -> tuple[str, ...]:
    """Names of all pacers that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, **params: Any) -> Pacer:
    """A pacer by name.

    Raises
    ------
    ConfigError
        If it has no such parameter, or not of that type or value, or lacks one.
    """
    pacer: Pacer = registry.create(name, params)
    return pacer
