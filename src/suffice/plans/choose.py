"""Several plans in one pipeline: the pipeline's policy picks one for every query, as it picks models.

A plan's cost and time follow from its members'. Its quality is taken to be that of its best member, and of
what that one gets wrong the plan sets the share `repairs` right: where a model is sure to be right, nothing
more is worth paying for. The share is measured, not known beforehand: `suffice evaluate --plans` says what
votes and mixtures bring on recorded answers.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from suffice import plans as registry
from suffice.errors import ConfigError
from suffice.plans.base import Event, Plan, PlanContext
from suffice.protocols import Embedder, Estimate, Policy, PolicyContext
from suffice.types import Candidate, Decision, Query

_UNFORESEEN: Final = (
    *("cascade", "decompose", "router_r1", "concatenate", "choose"),
    *("retrieve", "ircot", "self_ask", "flare", "dragin", "search_r1"),
)
"""What they would bring is known once they have begun, or they choose themselves."""


class _Entry(msgspec.Struct, frozen=True):
    """What stands beside a plan's own parameters."""

    name: str = "single"
    label: str = ""
    repairs: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class Choose:
    """The plan `choose`."""

    name = "choose"

    def __init__(self, plans: list[dict[str, Any]]) -> None:
        """
        Parameters
        ----------
        plans : each as under `plan:`, and beside its parameters `label` (its name) and `repairs` (0): of the
            answers that its best member gets wrong, the share in [0, 1] that it sets right

        Raises
        ------
        ConfigError
            If there is none, two have one label, or one cannot be foreseen or made.
        """
        self.plans: dict[str, Plan] = {}
        self._repairs: list[float] = []
        for given in plans:
            try:
                entry = msgspec.convert(given, _Entry)
            except msgspec.ValidationError as error:
                raise ConfigError(f"plan 'choose': {given!r}: {error}") from None
            label = entry.label or entry.name
            if entry.name in _UNFORESEEN:
                raise ConfigError(f"plan 'choose': nobody can say beforehand what {entry.name!r} would bring")
            if label in self.plans:
                raise ConfigError(f"plan 'choose': two plans are called {label!r}; give each a `label`")
            own = {name: value for name, value in given.items() if name not in _Entry.__struct_fields__}
            self.plans[label] = registry.create(entry.name, **own)
            self._repairs.append(entry.repairs)
        if not self.plans:
            raise ConfigError("plan 'choose': list at least one plan under `plans`")

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """As each of the plans."""
        for plan in self.plans.values():
            if hasattr(plan, "prepare"):
                plan.prepare(path=path, embedder=embedder, panel=panel)

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """That of the plan which was picked."""
        return self._estimates(query, decision)[list(self.plans).index(self._label(decision))]

    def pick(self, query: Query, decision: Decision, policy: Policy, now: float) -> tuple[str, str]:
        """The label of a plan, and why.

        Parameters
        ----------
        decision : about the candidates
        policy : which made it; its arms are the plans now
        """
        found = self._estimates(query, decision)
        scores = np.array([[one.quality for one in found]])
        costs = np.array([[math.nan if one.cost_usd is None else one.cost_usd for one in found]])
        latencies = np.array([[math.nan if one.latency_s is None else one.latency_s for one in found]])
        limits = query.constraints
        within = np.ones(len(found), dtype=np.bool_)
        if limits.max_cost_usd is not None:
            within &= costs[0] <= float(limits.max_cost_usd)  # an unknown cost does not keep to a limit
        if limits.max_latency_s is not None:
            within &= latencies[0] <= limits.max_latency_s
        labels = tuple(self.plans)
        if not within.any():  # the plans keep to limits themselves, as far as they can
            return labels[0], "none is expected to stay within the request's limits"
        context = PolicyContext(arms=labels, eligible=within[None, :], now=now, queries=(query,))
        choice = policy.choose(scores, costs, latencies, context)
        return labels[choice.ranking.item(0)], choice.reasons[0]

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """The picked plan's events."""
        async for event in self.plans[self._label(context.decision)].run(query, context):
            yield event

    def _label(self, decision: Decision | None) -> str:
        """The first plan where none was picked: a decision made elsewhere knows no labels."""
        picked = None if decision is None else decision.plan
        return picked if picked in self.plans else next(iter(self.plans))

    def _estimates(self, query: Query, decision: Decision) -> list[Estimate]:
        found = []
        for plan, repairs in zip(self.plans.values(), self._repairs, strict=True):
            one = plan.estimate(query, decision)
            quality = one.quality + repairs * (1 - one.quality)
            found.append(msgspec.structs.replace(one, quality=quality))
        return found
