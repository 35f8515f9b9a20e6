"""Recorded answers of every arm to every query, with what reading a signal from each would have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError, UnknownName
from suffice.outcomes import Outcomes
from suffice.types import FloatArray, Query


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """n queries by M arms; all arrays are (n, M) float64 with NaN for unknown.

    Made by `of`, which checks.
    """

    queries: tuple[Query, ...]
    arms: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray
    readings: Mapping[str, FloatArray] = field(default_factory=dict)
    """By signal; NaN: it could not be read from that answer."""
    reading_cost_usd: Mapping[str, FloatArray] = field(default_factory=dict)
    """By signal, beyond the answer's own: verifications, samples. 0 for one read from the answer itself."""
    reading_latency_s: Mapping[str, FloatArray] = field(default_factory=dict)
    """By signal, as long as the slowest of its calls where they run side by side."""
    responses: NDArray[np.object_] | None = None
    """(n, M) of str or None; None: nobody kept them."""

    @classmethod
    def of(
        cls,
        outcomes: Outcomes,
        readings: Mapping[str, ArrayLike] | None = None,
        *,
        reading_cost_usd: Mapping[str, ArrayLike] | None = None,
        reading_latency_s: Mapping[str, ArrayLike] | None = None,
    ) -> Self:
        """Outcomes with readings beside them.

        Parameters
        ----------
        outcomes : its responses are kept where it has some
        readings : shape (n, M) each, in [0, 1] or NaN, higher is surer
        reading_cost_usd, reading_latency_s : shape (n, M) each, at least 0; a signal not named is free

        Raises
        ------
        DataError
            If a shape or a value does not fit.
        UnknownName
            If a cost belongs to no reading.
        """
        shape = outcomes.quality.shape
        known = {
            name: _table(values, f"readings of {name!r}", shape, 1.0)
            for name, values in (readings or {}).items()
        }
        extra = []
        for given, what in ((reading_cost_usd, "cost"), (reading_latency_s, "latency")):
            for name in given or {}:
                if name not in known:
                    raise UnknownName("signal", name, known)
            tables = {name: (given or {}).get(name, np.zeros(shape)) for name in known}
            extra.append(
                {name: _table(one, f"{what} of {name!r}", shape, np.inf) for name, one in tables.items()}
            )
        return cls(
            queries=outcomes.queries,
            arms=outcomes.arms,
            quality=np.array(outcomes.quality),
            cost_usd=np.array(outcomes.cost_usd),
            latency_s=np.array(outcomes.latency_s),
            readings=known,
            reading_cost_usd=extra[0],
            reading_latency_s=extra[1],
            responses=outcomes.responses,
        )

    @property
    def n_queries(self) -> int:
        return len(self.queries)

    @property
    def n_arms(self) -> int:
        return len(self.arms)

    def select(self, rows: ArrayLike | None = None, arms: Sequence[str] | None = None) -> Recorded:
        """Some queries (indices or a mask; one may be taken twice) and some arms, in the order given.

        Raises
        ------
        UnknownName
            If an arm is not there.
        """
        index = np.arange(self.n_queries) if rows is None else np.arange(self.n_queries)[np.asarray(rows)]
        names = self.arms if arms is None else tuple(arms)
        for name in names:
            if name not in self.arms:
                raise UnknownName("arm", name, self.arms)
        grid = np.ix_(index, np.array([self.arms.index(name) for name in names], dtype=np.intp))
        tables = (self.readings, self.reading_cost_usd, self.reading_latency_s)
        readings, costs, latencies = ({name: one[grid] for name, one in table.items()} for table in tables)
        return replace(
            self,
            queries=tuple(self.queries[row] for row in index),
            arms=names,
            quality=self.quality[grid],
            cost_usd=self.cost_usd[grid],
            latency_s=self.latency_s[grid],
            readings=readings,
            reading_cost_usd=costs,
            reading_latency_s=latencies,
            responses=None if self.responses is None else self.responses[grid],
        )

    def complete(self) -> Recorded:
        """Only queries whose quality and cost are known for every arm, as fits and fair comparisons need."""
        return self.select(np.flatnonzero(~np.isnan(self.quality + self.cost_usd).any(axis=1)))

    def signal(self, name: str) -> FloatArray:
        """(n, M) readings of that signal.

        Raises
        ------
        UnknownName
            If it was not recorded.
        """
        if name not in self.readings:
            raise UnknownName("signal", name, self.readings)
        return self.readings[name]


def _table(values: ArrayLike, name: str, shape: tuple[Any, ...], high: float) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.shape != shape:
        raise DataError(f"{name} have shape {table.shape}, expected {shape}")
    known = table[~np.isnan(table)]
    if len(known) and (known.min() < 0 or known.max() > high):
        raise DataError(
            f"{name} lie between {known.min():g} and {known.max():g}, expected 0 to {high:g} or NaN"
        )
    return np.array(table)
