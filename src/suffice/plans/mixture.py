"""Several models propose, one writes the answer.

References
----------
Wang et al. (2024), Mixture-of-Agents Enhances Large Language Model Capabilities: proposers side by side, in
layers that each see the proposals of the one before, then an aggregator. Li et al. (2025), Rethinking
Mixture-of-Agents: Self-MoA (one model named several times, drawn with a temperature) and its sequential form
(`window`: the aggregator reads a few proposals at a time, its own synthesis in front). Departures: proposals
that are empty, refusals or of the wrong shape are left out, one is enough; where no aggregator answers, the
first proposal is the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from suffice.plans.asking import one_answer_only
from suffice.plans.base import Event, PlanContext, check_names
from suffice.plans.mixing import Mixing
from suffice.protocols import Embedder, Estimate
from suffice.types import Candidate, Decision, Query


class Mixture:
    """The plan `mixture`."""

    name = "mixture"

    def __init__(
        self,
        proposers: list[str] | int = 3,
        aggregator: str | None = None,
        layers: int = 1,
        window: int | None = None,
        temperature: float = 0.7,
        proposer_timeout_s: float = 60.0,
        max_cost_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        proposers : candidates, one named k times proposes k times; a number takes that many of the policy's
            ranking, so that every query gets its own
        aggregator : a candidate; None is the first of the ranking
        layers : of proposers, at least 1
        window : proposals that the aggregator reads at once, at least 2; None: all
        temperature : of a proposer named several times, where the client sets none
        proposer_timeout_s : who takes longer is not waited for
        max_cost_usd : for one query, by predicted costs: proposers, then the aggregator are left out

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        given: object = proposers  # a file says what it likes
        if isinstance(given, str):
            raise ValueError("proposers is a list of names, or a number")
        n = proposers if isinstance(proposers, int) else len(proposers)
        if n < 1 or layers < 1 or (window is not None and window < 2):
            raise ValueError("wanted at least one proposer, one layer and a window of two")
        if (
            not temperature > 0
            or not proposer_timeout_s > 0
            or (max_cost_usd is not None and max_cost_usd < 0)
        ):
            raise ValueError("temperature and proposer_timeout_s are above 0, max_cost_usd is not below")
        self.proposers = proposers if isinstance(proposers, int) else tuple(proposers)
        self.aggregator, self.layers, self.window = aggregator, layers, window
        self.temperature, self.proposer_timeout_s = temperature, proposer_timeout_s
        self.max_cost_usd = max_cost_usd

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Raises where a candidate is not in the panel."""
        named = () if isinstance(self.proposers, int) else self.proposers
        check_names(self.name, [*named, self.aggregator], panel)

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """The cost of all, the time of the slowest proposers and the aggregator, the best one's score."""
        names = self.named(decision.ranking)
        asked = [*names * self.layers, self.writer(decision.ranking)]
        costs = [decision.of(decision.costs_usd, name) for name in asked]
        times = [decision.of(decision.latencies_s, name) for name in asked]
        scores = [score for name in asked if (score := decision.of(decision.scores, name)) is not None]
        slowest = max((time for time in times[:-1] if time is not None), default=0.0)
        return Estimate(
            quality=max(scores, default=float("nan")),
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            latency_s=None if times[-1] is None else slowest * self.layers + times[-1],
        )

    def named(self, ranking: Sequence[str]) -> list[str]:
        """Who proposes, of those who may: nobody outside the ranking can serve the request."""
        if isinstance(self.proposers, int):
            return list(ranking[: self.proposers])
        return [name for name in self.proposers if name in ranking]

    def writer(self, ranking: Sequence[str]) -> str:
        """Who aggregates: the aggregator, where it can serve the request."""
        named = self.aggregator
        return named if named is not None and named in ranking else ranking[0]

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; a stream begins with the aggregator's first word.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        ProviderError
            When the aggregator's stream broke after its first content.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        mixing = Mixing(self, query, context)
        events = mixing.alone() if "tools" in query.needs else mixing.mix()
        async for event in events:
            yield event
