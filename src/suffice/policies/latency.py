"""The most value for money among the plans that are fast enough."""

from __future__ import annotations

import math

import numpy as np

from suffice.policies.base import check_number, chosen, first_names, firsts, usd
from suffice.policies.utility import Utility
from suffice.protocols import PolicyContext
from suffice.types import Choice, FloatArray


class Latency:
    """Picks the highest utility among plans whose predicted latency keeps the limit, else the fastest.

    An unknown latency does not keep the limit. Plans that miss it follow by rising latency, unknown
    ones last.
    """

    def __init__(self, *, limit_s: float, value_usd: float = math.inf) -> None:
        """
        Parameters
        ----------
        limit_s : seconds, above 0
        value_usd : as in `Utility`
        """
        self.limit_s = check_number("limit_s", limit_s, 0, math.inf)
        self.value_usd = check_number("value_usd", value_usd, 0, math.inf)
        self._utility = Utility(value_usd=self.value_usd)

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All (n, P)."""
        is_late = ~(latencies <= self.limit_s)
        slowness = np.where(is_late, latencies, 0.0)
        ranking = self._utility.ranking(scores, costs, context, is_late.astype(np.float64), slowness)
        names, (score, cost, time) = first_names(context, ranking), firsts(ranking, scores, costs, latencies)
        return chosen(
            ranking,
            [
                f"{name} is worth most of those within {self.limit_s:g} s: {t:.3g} s, score {s:.3f}, {usd(c)}"
                if t <= self.limit_s
                else f"no plan is expected within {self.limit_s:g} s; {name} is the fastest, {_seconds(t)}"
                for name, s, c, t in zip(names, score, cost, time, strict=True)
            ],
        )


def _seconds(time: float) -> str:
    return f"{time:.3g} s" if not math.isnan(time) else "unknown latency"
