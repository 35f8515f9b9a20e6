"""Policies: from scores, costs and latencies to a plan. They decide and never estimate."""

from __future__ import annotations

from typing import Any

from suffice.policies.floor import Floor
from suffice.policies.latency import Latency
from suffice.policies.threshold import Threshold
from suffice.policies.utility import Utility
from suffice.protocols import Policy
from suffice.registry import Registry

__all__ = ["Floor", "Latency", "Threshold", "Utility", "available", "create", "get", "registry"]

registry = Registry(
    "policy",
    "suffice.policies",
    {
        "utility": "suffice.policies.utility:Utility",
        "threshold": "suffice.policies.threshold:Threshold",
        "floor": "suffice.policies.floor:Floor",
        "latency": "suffice.policies.latency:Latency",
    },
)


def available() -> tuple[str, ...]:
    """Names of all policies that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, **params: Any) -> Policy:
    """A policy by name.

    Raises
    ------
    ConfigError
        If it has no such parameter, or not of that type, or lacks one.
    """
    policy: Policy = registry.create(name, params)
    return policy
