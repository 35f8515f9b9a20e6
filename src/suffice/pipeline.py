"""From a query to a decision: who may answer, how good and dear each would be, whom the policy picks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.errors import ConfigError, EmbedderError, InvalidRequest
from suffice.protocols import CostModel, LatencyModel, Policy, PolicyContext, Router
from suffice.types import BoolArray, Candidate, Decision, FloatArray, Query, Versions

BYTES_PER_TOKEN: Final = 3
"""Cautious: more text per token than this is usual, so a prompt is rather thought too long."""


class Pipeline:
    """A router, a policy and what they need, over one panel."""

    def __init__(
        self,
        *,
        name: str,
        candidates: Sequence[Candidate],
        router: Router,
        policy: Policy,
        costs: CostModel,
        latencies: LatencyModel,
        strongest: tuple[str, str],
        router_name: str = "",
        versions: Versions = Versions(),  # noqa: B008  frozen
        is_slow: bool = False,
    ) -> None:
        """
        Parameters
        ----------
        candidates : the panel; those the router never saw are not scored and come last
        costs, latencies : over the router's arms
        strongest : the safe choice, and why it is thought the strongest
        is_slow : the router needs the network or a large model: never decide on the event loop
        """
        scored = {arm: column for column, arm in enumerate(router.arms)}
        self.name = name
        self.router_name = router_name
        self.router = router
        self.policy = policy
        self.is_slow = is_slow
        self.versions = versions
        self._candidates = [c for c in candidates if c.name in scored]
        self._unscored = [c for c in candidates if c.name not in scored]
        self._columns = np.array([scored[c.name] for c in self._candidates], dtype=np.intp)
        self._costs, self._latencies = costs, latencies
        self._strongest, self._strongest_reason = strongest
        self.arms = tuple(c.name for c in self._candidates)
        if not self.arms:
            raise ConfigError(
                f"the router of pipeline {name!r} was trained on {', '.join(router.arms)}, of which none is "
                f"in the panel ({', '.join(c.name for c in candidates)}): give the candidates the names that "
                "they had in training"
            )

    def with_policy(self, policy: Policy, name: str) -> Pipeline:
        """The same estimates under another policy."""
        made = object.__new__(Pipeline)
        made.__dict__.update(self.__dict__)
        made.policy = policy
        made.versions = msgspec.structs.replace(self.versions, policy=name)
        return made

    def with_threshold(self, threshold: float) -> Pipeline:
        """The same router under RouteLLM's rule: strong where its gain reaches the threshold."""
        from suffice import policies

        policy = policies.create("threshold", threshold=threshold)
        return self.with_policy(policy, f"threshold({threshold:g})")

    def decide(self, query: Query, now: float) -> Decision:
        """Choose for one query.

        Raises
        ------
        InvalidRequest
            If no candidate can serve it.
        """
        eligible = np.array([_can_serve(c, query) for c in self._candidates], dtype=bool)
        others = [c.name for c in self._unscored if _can_serve(c, query)]
        if not eligible.any():
            return self._unscored_only(query, others)
        try:
            scores = self.router.scores([query])[:, self._columns]
        except EmbedderError as error:
            return self._safe(query, eligible, others, str(error))
        costs = self._costs.costs([query])[:, self._columns]
        latencies = self._latencies.latencies([query])[:, self._columns]
        eligible &= _within_limits(query, costs[0], latencies[0])
        if not eligible.any():
            raise InvalidRequest(
                "no candidate is expected to stay within the request's cost or latency limit"
            )
        context = PolicyContext(arms=self.arms, eligible=eligible[None, :], now=now)
        choice = self.policy.choose(scores, costs, latencies, context)
        ranking = [self.arms[i] for i in choice.ranking[0] if eligible[i]]
        return self._decision(
            ranking=(*ranking, *others),
            eligible=tuple(arm for arm, may in zip(self.arms, eligible, strict=True) if may),
            scores=scores[0],
            costs=costs[0],
            latencies=latencies[0],
            propensities=tuple(choice.propensities[0].tolist()),
            reason=choice.reasons[0],
        )

    def _unscored_only(self, query: Query, others: Sequence[str]) -> Decision:
        if not others:
            needs = ", ".join(sorted(query.needs)) or "the length of the prompt"
            raise InvalidRequest(
                f"no candidate of the panel can serve this request ({needs}; allowed: "
                f"{', '.join(query.constraints.models) or 'all'})"
            )
        return self._decision(
            ranking=tuple(others), eligible=tuple(others), reason="only candidates unknown to the router can"
        )

    def _safe(self, query: Query, eligible: BoolArray, others: Sequence[str], why: str) -> Decision:
        """The strongest candidate, where nothing can be predicted."""
        able = [arm for arm, may in zip(self.arms, eligible, strict=True) if may]
        able.sort(key=lambda arm: arm != self._strongest)
        return self._decision(
            ranking=(*able, *others),
            eligible=tuple(able),
            reason=f"safe choice, {self._strongest_reason}: no prediction ({why})",
        )

    def _decision(
        self,
        *,
        ranking: tuple[str, ...],
        eligible: tuple[str, ...],
        reason: str,
        scores: FloatArray | None = None,
        costs: FloatArray | None = None,
        latencies: FloatArray | None = None,
        propensities: tuple[float, ...] = (),
    ) -> Decision:
        return Decision(
            plan="single",
            candidate=ranking[0],
            ranking=ranking,
            eligible=eligible,
            arms=self.arms,
            scores=_known(scores),
            costs_usd=_known(costs),
            latencies_s=_known(latencies),
            propensities=propensities or tuple(float(arm == ranking[0]) for arm in self.arms),
            policy=self.versions.policy,
            reason=reason,
            baseline=self._strongest,
            versions=self.versions,
        )


def _known(values: FloatArray | None) -> tuple[float | None, ...]:
    """A row of an array as a tuple, NaN as None."""
    if values is None:
        return ()
    return tuple(None if math.isnan(value) else value for value in values.tolist())


def _can_serve(candidate: Candidate, query: Query) -> bool:
    """Hard limits: allowed, able, and long enough."""
    allowed = query.constraints.models
    if allowed and candidate.name not in allowed:
        return False
    if query.needs and not all(candidate.allows(need) for need in query.needs):
        return False
    window = candidate.context_window
    return window is None or _n_bytes(query) // BYTES_PER_TOKEN <= window or not query.messages


def _n_bytes(query: Query) -> int:
    from suffice.types import content_text

    return sum(len(content_text(message.get("content"))) for message in query.messages)


def _within_limits(query: Query, costs: FloatArray, latencies: FloatArray) -> BoolArray:
    """Whether each arm's predicted cost and latency keep to the request's own limits."""
    within = np.ones(len(costs), dtype=bool)
    limits = query.constraints
    if limits.max_cost_usd is not None:
        within &= costs <= float(limits.max_cost_usd)  # an unknown cost (NaN) does not keep to a limit
    if limits.max_latency_s is not None:
        within &= latencies <= limits.max_latency_s
    return within


def strongest(candidates: Sequence[Candidate], quality: Mapping[str, float] | None = None) -> tuple[str, str]:
    """Which candidate is thought the strongest, and why.

    Highest mean quality in training data, else `strength` in the catalogue, else dearest output price,
    else the first of the panel.
    """
    measured = {c.name: quality[c.name] for c in candidates if quality and c.name in quality}
    if measured:
        name = max(measured, key=lambda arm: measured[arm])
        return name, f"highest mean quality in training data ({measured[name]:.3f})"
    rated = {c.name: c.strength for c in candidates if c.strength is not None}
    if rated:
        name = max(rated, key=lambda arm: rated[arm])
        return name, f"highest strength in the catalogue ({rated[name]:g})"
    priced = {
        c.name: c.price.output_usd_per_mtok for c in candidates if c.price.output_usd_per_mtok is not None
    }
    if priced:
        name = max(priced, key=lambda arm: priced[arm])
        return name, f"dearest output price ({priced[name]:f} USD per million tokens)"
    return candidates[0].name, "first of the panel: nothing is known of quality or price"
