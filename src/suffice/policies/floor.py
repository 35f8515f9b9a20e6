"""The cheapest plan that is good enough."""

from __future__ import annotations

import numpy as np

from suffice.policies.base import best_of, check_number, chosen, first_names, firsts, ranked, usd
from suffice.protocols import PolicyContext
from suffice.types import Choice, FloatArray


class Floor:
    """Picks the cheapest plan whose score reaches the floor, else the one with the highest score.

    Of plans that reach it, one of unknown cost ranks after those of known cost. An unknown score
    does not reach the floor. Plans below it follow by falling score.
    """

    def __init__(self, *, floor: float) -> None:
        """
        Parameters
        ----------
        floor : the least score, in [0, 1]
        """
        self.floor = check_number("floor", floor, 0, 1)

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All (n, P); latencies play no part."""
        falls_short = ~(scores >= self.floor)
        price = np.where(falls_short, 0.0, costs)
        ranking = ranked(context, scores.shape, falls_short, price, -scores, costs)
        names, (score, cost) = first_names(context, ranking), firsts(ranking, scores, costs)
        reached = (best_of(context, scores) >= self.floor)[:, 0].tolist()
        return chosen(
            ranking,
            [
                f"{name} is the cheapest with a score of at least {self.floor:g}: {s:.3f}, {usd(c)}"
                if is_reached
                else f"no plan reaches a score of {self.floor:g}; {name} comes closest, {s:.3f}"
                for name, s, c, is_reached in zip(names, score, cost, reached, strict=True)
            ],
        )
