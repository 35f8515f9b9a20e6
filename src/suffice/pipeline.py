"""From a query to a decision: who may answer, how good and dear each would be, whom the policy picks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from suffice import policies
from suffice.errors import ConfigError, EmbedderError, InvalidRequest
from suffice.plans import Plan, Single
from suffice.plans.choose import Choose
from suffice.protocols import CostModel, LatencyModel, Policy, PolicyContext, Router
from suffice.routers.costs import CostCaps
from suffice.routers.lengths import query_bytes
from suffice.routers.ruleset import RuleSet
from suffice.routers.sticky import Sticky, prefix_saving_usd
from suffice.routers.strongest import Strongest
from suffice.types import (
    BoolArray,
    Candidate,
    Constraints,
    Decision,
    FloatArray,
    Learnable,
    Query,
    Versions,
)
from suffice.unseen import Unseen

if TYPE_CHECKING:
    from suffice.plans.gated import Gated

BYTES_PER_TOKEN: Final = 3
"""Cautious: more text per token than this is usual, so a prompt is rather thought too long."""


_NO_LIMITS: Final = Constraints()


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
        rules: RuleSet | None = None,
        is_slow: bool = False,
        plan: Plan | None = None,
        gate: Gated | None = None,
    ) -> None:
        """
        Parameters
        ----------
        candidates : the panel; those the router never saw are scored by a prior, and those of which
            nothing is known come last
        costs, latencies : over the router's arms
        strongest : the safe choice, and why it is thought the strongest
        rules : who may answer what, before anybody predicts anything
        is_slow : the router needs the network or a large model: never decide on the event loop
        plan : how the candidates are asked; None: the best one, on failure the next
        gate : whether things are looked up before; None: they are not
        """
        scored = {arm: column for column, arm in enumerate(router.arms)}
        self.name = name
        self.router_name = router_name
        self.router = router
        self.policy = policy
        self.is_slow = is_slow
        self.plan = plan if plan is not None else Single()
        self.gate = gate
        self.versions = versions
        seen = [c for c in candidates if c.name in scored]
        if not seen:
            raise ConfigError(
                f"the router of pipeline {name!r} was trained on {', '.join(router.arms)}, of which none is "
                f"in the panel ({', '.join(c.name for c in candidates)}): give the candidates the names that "
                "they had in training"
            )
        others = [c for c in candidates if c.name not in scored]
        self._unseen = Unseen.of(others, candidates, getattr(router, "mean_quality_", {}))
        by_prior = self._unseen.candidates if self._unseen else ()
        self._candidates = [*seen, *by_prior]
        self._unscored = [c for c in others if c not in by_prior]
        self._columns = np.array([scored[c.name] for c in seen], dtype=np.intp)
        self._takes_all = self._columns.tolist() == list(range(len(router.arms)))
        self._windows = _windows(self._candidates)
        self._shortest = float(self._windows.min())
        self._costs, self._latencies = costs, latencies
        limits = [c.max_output_tokens for c in self._candidates]
        self._caps = CostCaps([c.price for c in self._candidates], limits)
        self._strongest, self._strongest_reason = strongest
        self.arms = tuple(c.name for c in self._candidates)
        self._rules = rules if rules else None
        if rules is not None:
            rules.check([c.name for c in candidates])
        self._sticky = router if isinstance(router, Sticky) else None

    @property
    def baseline(self) -> str:
        """The strongest candidate: what would be asked without routing."""
        return self._strongest

    def with_policy(self, policy: Policy, name: str) -> Pipeline:
        """The same estimates under another policy."""
        made = object.__new__(Pipeline)
        made.__dict__.update(self.__dict__)
        made.policy = policy
        made.versions = msgspec.structs.replace(self.versions, policy=name)
        return made

    def with_threshold(self, threshold: float) -> Pipeline:
        """The same router under RouteLLM's rule: strong where its gain reaches the threshold, asked alone."""
        policy = policies.create("threshold", threshold=threshold)
        made = self.with_policy(policy, f"threshold({threshold:g})")
        made.plan, made.gate = Single(), None
        return made

    def decide(self, query: Query, now: float, max_tokens: int | None = None) -> Decision:
        """Choose for one query.

        Parameters
        ----------
        max_tokens : the longest answer that is wanted; no more is expected to be paid

        Raises
        ------
        InvalidRequest
            If no candidate can serve it.
        """
        eligible = self._eligible(query)
        others = self._able_unscored(query) if self._unscored else []
        if eligible is not None and not eligible.any():
            return self._unscored_only(query, others)
        incumbent = None if self._sticky is None else self._sticky.incumbent(query, now)
        try:
            scores, costs, latencies = self._estimates(query, incumbent, max_tokens)
        except EmbedderError as error:
            return self._safe(query, self._named(eligible), others, str(error))
        eligible = _narrowed(eligible, query, costs[0], latencies[0])
        context = PolicyContext(
            arms=self.arms,
            eligible=None if eligible is None else eligible[None, :],
            now=now,
            queries=(query,),
        )
        choice = self.policy.choose(scores, costs, latencies, context)
        order = choice.ranking[0].tolist()
        if eligible is not None:
            order = order[: int(eligible.sum())]  # ineligible ones come last
        reason = choice.reasons[0]
        if self._sticky is not None:
            self._sticky.remember(query, self.arms[order[0]], now)
        decision = self._decision(
            ranking=(*[self.arms[i] for i in order], *others),
            eligible=self._named(eligible),
            scores=scores[0],
            costs=costs[0],
            latencies=latencies[0],
            propensities=tuple(choice.propensities[0].tolist()),
            reason=f"{reason}; {self._unseen.reason}" if self._unseen else reason,
            learnable=choice.learnable[0] if choice.learnable else None,
        )
        if not isinstance(self.plan, Choose):
            return decision
        plan, why = self.plan.pick(query, decision, self.policy, now)
        return msgspec.structs.replace(decision, plan=plan, reason=f"{decision.reason}; plan {plan}: {why}")

    def _eligible(self, query: Query) -> BoolArray | None:
        """(P,): who may answer by the hard limits; None is everybody."""
        is_free = not query.needs and not query.constraints.models
        if is_free and query_bytes([query]).item(0) / BYTES_PER_TOKEN <= self._shortest:
            return None if self._rules is None else self._rules.allowed(query, self.arms)[0]
        able = _able(self._candidates, self._windows, query)
        return able if self._rules is None else able & self._rules.allowed(query, self.arms)[0]

    def _estimates(
        self, query: Query, incumbent: str | None, max_tokens: int | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Scores, costs and latencies (1, P), of candidates without data by prior.

        The one that answers this conversation already reads its beginning from its provider's cache.
        """
        scores = self.router.scores([query])
        costs, latencies = self._costs.costs([query]), self._latencies.latencies([query])
        if not self._takes_all:
            scores, costs, latencies = (x[:, self._columns] for x in (scores, costs, latencies))
        if self._unseen is not None:
            scores, costs, latencies = self._unseen.beside(query, scores, costs, latencies)
        if max_tokens is not None or not self._caps.is_idle:
            costs = self._caps.capped(costs, query, max_tokens)
        if incumbent in self.arms:
            place = self.arms.index(incumbent)
            costs = costs.copy()
            left = costs[0, place] - prefix_saving_usd(query, self._candidates[place])
            costs[0, place] = np.maximum(left, 0.0)  # NaN stays NaN
        return scores, costs, latencies

    def _named(self, eligible: BoolArray | None) -> tuple[str, ...]:
        if eligible is None:
            return self.arms
        return tuple(arm for arm, may in zip(self.arms, eligible.tolist(), strict=True) if may)

    def _able_unscored(self, query: Query) -> list[str]:
        able = _able(self._unscored, _windows(self._unscored), query)
        if self._rules is not None:
            able &= self._rules.allowed(query, [c.name for c in self._unscored])[0]
        return [c.name for c, may in zip(self._unscored, able, strict=True) if may]

    def _unscored_only(self, query: Query, others: Sequence[str]) -> Decision:
        if not others:
            matched = () if self._rules is None else self._rules.allowed(query, self.arms)[1]
            limits = {
                "it needs": sorted(query.needs),
                "allowed": query.constraints.models,
                "rules that hold": matched,
            }
            why = [f"{what}: {', '.join(names)}" for what, names in limits.items() if names]
            raise InvalidRequest(
                "no candidate of the panel can serve this request "
                f"({'; '.join(why) or 'the prompt is too long'})"
            )
        return self._decision(
            ranking=tuple(others), eligible=tuple(others), reason="only candidates unknown to the router can"
        )

    def _safe(self, query: Query, eligible: Sequence[str], others: Sequence[str], why: str) -> Decision:
        """The strongest candidate, where nothing can be predicted."""
        able = sorted(eligible, key=lambda arm: arm != self._strongest)
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
        learnable: Learnable | None = None,
    ) -> Decision:
        return Decision(
            plan=self.plan.name,
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
            learnable=learnable,
        )


def _known(values: FloatArray | None) -> tuple[float | None, ...]:
    """A row of an array as a tuple, NaN as None."""
    if values is None:
        return ()
    listed = values.tolist()
    if math.isnan(sum(listed)):
        return tuple([None if math.isnan(value) else value for value in listed])
    return tuple(listed)


def _windows(candidates: Sequence[Candidate]) -> FloatArray:
    """(P,) tokens; infinite where unknown."""
    return np.array([math.inf if c.context_window is None else c.context_window for c in candidates])


def _able(candidates: Sequence[Candidate], windows: FloatArray, query: Query) -> BoolArray:
    """(P,): who may answer by the hard limits: allowed, capable, and long enough."""
    able: BoolArray = windows >= query_bytes([query])[0] / BYTES_PER_TOKEN
    if query.needs:
        able &= [all(candidate.allows(need) for need in query.needs) for candidate in candidates]
    if query.constraints.models:
        able &= [candidate.name in query.constraints.models for candidate in candidates]
    return able


def _narrowed(
    eligible: BoolArray | None, query: Query, costs: FloatArray, latencies: FloatArray
) -> BoolArray | None:
    """Those of the eligible whose predicted cost and latency keep to the request's own limits.

    Raises
    ------
    InvalidRequest
        If none does.
    """
    limits = query.constraints
    if limits.max_cost_usd is None and limits.max_latency_s is None:
        return eligible
    within = np.ones(len(costs), dtype=bool) if eligible is None else eligible.copy()
    if limits.max_cost_usd is not None:
        within &= costs <= float(limits.max_cost_usd)  # an unknown cost (NaN) does not keep to a limit
    if limits.max_latency_s is not None:
        within &= latencies <= limits.max_latency_s
    if not within.any():
        raise InvalidRequest("no candidate is expected to stay within the request's cost or latency limit")
    return within


def strongest(candidates: Sequence[Candidate], quality: Mapping[str, float] | None = None) -> tuple[str, str]:
    """Which candidate is thought the strongest, and why.

    Highest mean quality in training data, else as the router `strongest` has it: stated strength, else
    dearest output price.
    """
    measured = {c.name: quality[c.name] for c in candidates if quality and c.name in quality}
    if measured:
        name = max(measured, key=lambda arm: measured[arm])
        return name, f"highest mean quality in training data ({measured[name]:.3f})"
    router = Strongest().from_candidates(candidates)
    return router.arms[int(np.nanargmax(router.scores_))], router.reason_
