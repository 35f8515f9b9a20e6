"""Recorded outcomes as a stream of queries, one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from suffice.budgets.bound import lagrangian_bound
from suffice.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Stream:
    """n queries by K arms, in the order in which they come."""

    arms: tuple[str, ...]
    rows: IntArray
    """(n,): places in the table that it was made of."""
    contexts: NDArray[np.float32]
    """(n, d): what a bandit sees."""
    rewards: FloatArray
    """(n, K): true, of all arms."""
    costs: FloatArray
    """(n, K): USD, true."""
    available: BoolArray
    """(n, K): whether an arm can be asked then; an arm appears with its first True."""
    price_factor: FloatArray
    """(n, K): the price list relative to that of the records; known beforehand, as price lists are."""

    @classmethod
    def of(
        cls, arms: tuple[str, ...], contexts: NDArray[np.float32], rewards: FloatArray, costs: FloatArray
    ) -> Self:
        """In the order given, all arms always there."""
        n, k = rewards.shape
        return cls(
            arms=arms,
            rows=np.arange(n),
            contexts=contexts,
            rewards=np.asarray(rewards, np.float64),
            costs=np.asarray(costs, np.float64),
            available=np.ones((n, k), np.bool_),
            price_factor=np.ones((n, k)),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def shuffled(self, seed: int) -> Self:
        """In a random order."""
        order = np.random.default_rng(seed).permutation(len(self))
        fields = ("rows", "contexts", "rewards", "costs", "available", "price_factor")
        return replace(self, **{name: getattr(self, name)[order] for name in fields})

    def bound(self, budget_usd: float) -> float:
        """The most quality per query that hindsight could have had for so many USD per query.

        Where even the cheapest arms cost more, not answering counts as a choice.
        """
        rewards = np.where(self.available, self.rewards, np.nan)
        cheapest = np.where(self.available, self.costs, np.inf).min(axis=1).mean()
        return lagrangian_bound(rewards, self.costs, budget_usd, may_refuse=bool(cheapest > budget_usd))[0]
