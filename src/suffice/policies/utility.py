"""The most value for money: value_usd x score - cost."""

from __future__ import annotations

import math

from suffice.policies.base import check_number, chosen, first_names, firsts, ranked, usd
from suffice.protocols import PolicyContext
from suffice.types import Choice, FloatArray, IntArray


class Utility:
    """Picks the plan with the highest value_usd x score - cost_usd.

    The linear trade-off of RouterBench (Hu et al., 2024, section 3) and CARROT (2025), with the
    willingness to pay in USD per fully right answer. Of equal utility the higher score goes first,
    then the cheaper plan, then the name. A plan of unknown score or cost has unknown utility and ranks
    after all known ones, by its score.
    """

    def __init__(self, *, value_usd: float = 0.02) -> None:
        """
        Parameters
        ----------
        value_usd : what a fully right answer is worth, USD per query
            0 takes the cheapest plan (scores then play no part), infinity the best (costs then only
            break ties).
        """
        self.value_usd = check_number("value_usd", value_usd, 0, math.inf)

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All (n, P); latencies play no part."""
        ranking = self.ranking(scores, costs, context)
        return chosen(ranking, self._reasons(scores, costs, context, ranking))

    def ranking(
        self, scores: FloatArray, costs: FloatArray, context: PolicyContext, *before: FloatArray
    ) -> IntArray:
        """(n, P); the keys `before` go first."""
        if self.value_usd == 0:
            return ranked(context, scores.shape, *before, costs, -scores)
        if math.isinf(self.value_usd):
            return ranked(context, scores.shape, *before, -scores, costs)
        return ranked(context, scores.shape, *before, costs - self.value_usd * scores, -scores, costs)

    def _reasons(
        self, scores: FloatArray, costs: FloatArray, context: PolicyContext, ranking: IntArray
    ) -> list[str]:
        if len(ranking) == 1:  # a decision
            first = ranking.item(0)
            return [self._reason(context.arms[first], scores.item(0, first), costs.item(0, first))]
        names, (score, cost) = first_names(context, ranking), firsts(ranking, scores, costs)
        return [self._reason(*row) for row in zip(names, score, cost, strict=True)]

    def _reason(self, name: str, score: float, cost: float) -> str:
        if self.value_usd == 0:
            return f"{name} is the cheapest, {usd(cost)}"
        if math.isinf(self.value_usd):
            return f"{name} has the highest score, {score:.3f}"
        if math.isnan(score - cost):
            return f"{name}: no plan's utility is known (score {score:.3f}, {usd(cost)}); by score"
        worth = f"{self.value_usd:g} USD x score"
        return f"{name} has the highest utility: {worth} {score:.3f} - {cost:.3g} USD"
