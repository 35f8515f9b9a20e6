"""Policies: from scores, costs and latencies to a plan. They decide and never estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from suffice.policies.floor import Floor
from suffice.policies.latency import Latency
from suffice.policies.threshold import Threshold
from suffice.policies.utility import Utility
from suffice.protocols import Policy
from suffice.registry import Registry

if TYPE_CHECKING:
    from suffice.policies.guarantee import Guarantee

__all__ = ["Floor", "Guarantee", "Latency", "Threshold", "Utility", "available", "create", "get", "registry"]

registry = Registry(
    "policy",
    "suffice.policies",
    {
        "utility": "suffice.policies.utility:Utility",
        "threshold": "suffice.policies.threshold:Threshold",
        "floor": "suffice.policies.floor:Floor",
        "latency": "suffice.policies.latency:Latency",
        "guarantee": "suffice.policies.guarantee:Guarantee",
    },
)


def __getattr__(name: str) -> Any:
    """`Guarantee` brings the calibrators along: a gateway without a certificate does not load them."""
    if name == "Guarantee":
        return registry.get("guarantee")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
