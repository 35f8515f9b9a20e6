"""Ways to answer a query."""

from __future__ import annotations

from typing import Any

from suffice.plans.base import Event, Note, Plan, PlanContext
from suffice.plans.single import Single
from suffice.registry import Registry

__all__ = ["Event", "Note", "Plan", "PlanContext", "Single", "available", "create", "get", "registry"]

registry = Registry(
    "plan",
    "suffice.plans",
    {
        "single": "suffice.plans.single:Single",
        "cascade": "suffice.plans.cascade:CascadePlan",
        "best_of": "suffice.plans.best_of:BestOf",
        "mixture": "suffice.plans.mixture:Mixture",
        "decompose": "suffice.plans.decompose:Decompose",
        "router_r1": "suffice.plans.router_r1:RouterR1",
        "speculative": "suffice.plans.speculative:Speculative",
        "concatenate": "suffice.plans.concatenate:Concatenate",
        "choose": "suffice.plans.choose:Choose",
        "retrieve": "suffice.plans.retrieve:Retrieve",
        "ircot": "suffice.plans.ircot:Ircot",
        "self_ask": "suffice.plans.self_ask:SelfAsk",
        "flare": "suffice.plans.flare:Flare",
        "dragin": "suffice.plans.dragin:Dragin",
        "search_r1": "suffice.plans.search_r1:SearchR1",
    },
)


def available() -> tuple[str, ...]:
    """Names of all plans that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, **params: Any) -> Plan:
    """A plan by name.

    Raises
    ------
    ConfigError
        If it has no such parameter, or not of that type, or lacks one.
    """
    plan: Plan = registry.create(name, params)
    return plan
