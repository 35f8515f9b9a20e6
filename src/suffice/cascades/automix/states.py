"""What AutoMix's probabilistic meta-verifiers believe: which arm solves a query, and what readings tell.

The hidden state of a query is the first arm of the chain that solves it, or that none does. With two arms
these are the paper's three: simple (the small model solves it), complex (only the large one), unsolvable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import cuts
from suffice.types import FloatArray, IntArray

_PRIOR_ROWS: Final = 2.0
"""How many rows' weight the overall rates have in a state: rare states say little."""
SOLVED: Final = 0.5
"""From this quality on an arm has solved a query."""


@dataclass(frozen=True, eq=False)
class States:
    """S = M + 1 states of a chain of M arms; readings fall into bins, a missing one into its own."""

    prior: FloatArray
    """(S,)"""
    quality: FloatArray
    """(S, M): mean by state."""
    observed: tuple[FloatArray, ...]
    """By arm but the last: (S, bins + 1), rows summing to 1; the last column is that of no reading."""
    edges: tuple[tuple[float, ...], ...]
    """By arm but the last, between the bins."""
    cost_usd: FloatArray
    """(M,): mean of one answer."""
    reading_cost_usd: FloatArray
    """(M,): mean of one reading; 0 for the last arm, which is not read."""

    @classmethod
    def fit(cls, table: Recorded, signal: str, n_bins: int) -> States:
        """Counts on complete rows, drawn to the overall rates where a state is rare.

        Parameters
        ----------
        n_bins : at least 1; fewer are used where fewer readings occur
        """
        n_arms = table.n_arms
        state = first_solver(table.quality)
        counts = np.bincount(state, minlength=n_arms + 1).astype(np.float64)
        means = table.quality.mean(axis=0)
        sums = np.zeros((n_arms + 1, n_arms))
        np.add.at(sums, state, table.quality)
        edges, observed = [], []
        readings = table.signal(signal)
        for arm in range(n_arms - 1):
            edges.append(tuple(cuts(readings[:, arm], n_bins - 1)))
            bins = binned(readings[:, arm], edges[arm])
            table_of = np.zeros((n_arms + 1, len(edges[arm]) + 2))
            np.add.at(table_of, (state, bins), 1.0)
            overall = (table_of.sum(axis=0) + 1.0) / (len(bins) + table_of.shape[1])
            observed.append((table_of + _PRIOR_ROWS * overall) / (counts[:, None] + _PRIOR_ROWS))
        paid = table.reading_cost_usd[signal].mean(axis=0)
        return cls(
            prior=counts / counts.sum(),
            quality=(sums + _PRIOR_ROWS * means) / (counts[:, None] + _PRIOR_ROWS),
            observed=tuple(observed),
            edges=tuple(edges),
            cost_usd=table.cost_usd.mean(axis=0),
            reading_cost_usd=np.append(paid[:-1], 0.0),
        )

    @property
    def n_arms(self) -> int:
        return len(self.cost_usd)

    def n_readings(self, arm: int) -> int:
        """Bins of that arm's reading and the one of none; 1 for the last arm."""
        return self.observed[arm].shape[1] if arm < len(self.observed) else 1

    def likelihood(self, arm: int, reading: int) -> FloatArray:
        """(S,): the probability of that bin in every state; 1 for the last arm, which is not read."""
        if arm >= len(self.observed):
            return np.ones(len(self.prior))
        return self.observed[arm][:, reading]

    def bin(self, arm: int, reading: float | None) -> int:
        """The bin of a reading of that arm."""
        if arm >= len(self.edges):
            return 0
        return int(binned(np.array([np.nan if reading is None else reading]), self.edges[arm])[0])

    def to_json(self) -> dict[str, Any]:
        return {
            "prior": self.prior.tolist(),
            "quality": self.quality.tolist(),
            "observed": [one.tolist() for one in self.observed],
            "edges": self.edges,
            "cost_usd": self.cost_usd.tolist(),
            "reading_cost_usd": self.reading_cost_usd.tolist(),
        }


def edges_of(content: Any) -> tuple[tuple[float, ...], ...]:
    """Edges as JSON left them."""
    return msgspec.convert(content, tuple[tuple[float, ...], ...])


def first_solver(quality: FloatArray) -> IntArray:
    """(n,) of quality (n, M): the first arm of at least `SOLVED`; M where there is none."""
    solved = np.column_stack([quality >= SOLVED, np.ones(len(quality), dtype=bool)])
    found: IntArray = np.argmax(solved, axis=1)
    return found


def binned(readings: FloatArray, edges: tuple[float, ...]) -> IntArray:
    """(n,): the bin of every reading; the one after the last where there is none."""
    bins = np.searchsorted(edges, readings, side="right")
    return np.where(np.isnan(readings), len(edges) + 1, bins).astype(np.intp)
