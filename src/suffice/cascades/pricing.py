"""The price of quality that meets a budget: two prices, and a lot between them.

What is spent falls in steps as the price rises, so that no single price may meet a budget; the lot makes up
what the cheaper one leaves. It is drawn from the query's text: the same query is treated the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.types import FloatArray, Query

_GRID: Final = 24
_ROUNDS: Final = 2
_WITHIN: Final = 8


class Prices(msgspec.Struct, frozen=True):
    """Quality per USD, lambda: 1 / value_usd."""

    dear: str
    """The lower price, which spends more; as text, since JSON knows no infinity."""
    cheap: str
    share: float = 1.0
    """Of queries treated at the lower price."""

    @classmethod
    def single(cls, price: float) -> Prices:
        return cls(repr(price), repr(price))

    def of(self, lot: float) -> float:
        """For a query whose lot in [0, 1) is this."""
        return float(self.dear if lot < self.share else self.cheap)


def lot_of(query: Query, seed: int) -> float:
    """In [0, 1), as good as drawn by chance, and the same whenever the query comes."""
    return zlib.crc32(f"{seed} {query.text}".encode()) / 2**32


def for_budget(spent: Callable[[Sequence[float]], FloatArray], budget_usd: float) -> Prices:
    """Prices and share that spend the budget exactly, where it lies between the least and the most.

    Parameters
    ----------
    spent : prices, rising, to the mean cost per query of each; falls, but for chance
    """
    prices = np.array([0.0, *np.geomspace(1.0, 1e7, _GRID), np.inf])
    costs = np.asarray(spent(prices.tolist()))
    for _ in range(_ROUNDS):
        low, high = _around(costs, budget_usd)
        if low == high or not np.isfinite(prices[high]) or prices[low] == 0:
            break
        inside = np.geomspace(prices[low], prices[high], _WITHIN + 2)[1:-1]
        between = np.asarray(spent(inside.tolist()))
        prices = np.array([prices[low], *inside, prices[high]])
        costs = np.array([costs[low], *between, costs[high]])
    low, high = _around(costs, budget_usd)
    gap = costs[low] - costs[high]
    share = 1.0 if low == high or gap <= 0 else float((budget_usd - costs[high]) / gap)
    return Prices(repr(float(prices[low])), repr(float(prices[high])), share)


def _around(costs: FloatArray, budget_usd: float) -> tuple[int, int]:
    """Places of the last price that spends more than the budget, and of the next; equal where none does."""
    over = np.flatnonzero(costs > budget_usd)
    if not len(over):
        return 0, 0
    low = int(over[-1])
    return (low, low) if low == len(costs) - 1 else (low, low + 1)
