"""What every strategy did on recorded queries: its answer, how good it was, how often it looked things up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError
from suffice.types import FloatArray, Query


@dataclass(frozen=True, kw_only=True, eq=False)
class Strategies:
    """n queries by S strategies, the one that looks up least first; all arrays are (n, S) float64.

    Made by `of`, which checks and orders.
    """

    queries: tuple[Query, ...]
    arms: tuple[str, ...]
    quality: FloatArray
    retrieval_calls: FloatArray
    lm_calls: FloatArray
    responses: NDArray[np.object_] | None = None
    """(n, S) of str or None; None: nobody kept them."""
    readings: Mapping[str, FloatArray] = field(default_factory=dict)
    """Confidence signals of the answers, in any unit, NaN where one could not be read."""

    @classmethod
    def of(
        cls,
        queries: Sequence[Query | str],
        arms: Sequence[str],
        quality: ArrayLike,
        retrieval_calls: ArrayLike,
        lm_calls: ArrayLike,
        *,
        responses: ArrayLike | None = None,
        readings: Mapping[str, ArrayLike] | None = None,
    ) -> Strategies:
        """Checked, with strategies ordered by their mean number of look-ups, then of model calls.

        Parameters
        ----------
        quality : shape (n, S), in [0, 1]
        retrieval_calls, lm_calls : shape (n, S), at least 0

        Raises
        ------
        DataError
            If a shape or a value does not fit, or fewer than two strategies are there.
        """
        shape = (len(queries), len(arms))
        if len(arms) < 2 or len(set(arms)) < len(arms):
            raise DataError(
                f"strategies are {', '.join(arms) or 'none'}; at least two different ones are needed"
            )
        given = {"quality": quality, "retrieval_calls": retrieval_calls, "lm_calls": lm_calls}
        tables = {name: _checked(name, values, shape) for name, values in given.items()}
        means = [tables[name].mean(axis=0) for name in ("lm_calls", "retrieval_calls")]
        order = np.lexsort(means) if shape[0] else np.arange(shape[1])
        said = None if responses is None else np.asarray(responses, object)
        if said is not None and said.shape != shape:
            raise DataError(f"responses have shape {said.shape}, expected {shape}")
        signals = {name: np.asarray(values, np.float64) for name, values in (readings or {}).items()}
        for name, values in signals.items():
            if values.shape != shape:
                raise DataError(f"readings of {name!r} have shape {values.shape}, expected {shape}")
        return cls(
            queries=tuple(one if isinstance(one, Query) else Query(text=one) for one in queries),
            arms=tuple(arms[place] for place in order),
            responses=None if said is None else said[:, order],
            readings={name: values[:, order] for name, values in signals.items()},
            **{name: table[:, order] for name, table in tables.items()},
        )

    @property
    def n_queries(self) -> int:
        return len(self.queries)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(query.text for query in self.queries)

    def answer(self, row: int, arm: int) -> str:
        """What was said; empty where nobody kept it."""
        return "" if self.responses is None else self.responses[row, arm] or ""

    def select(self, rows: ArrayLike) -> Strategies:
        """Some queries, by indices or a mask."""
        wanted = np.asarray(rows)
        index = np.arange(self.n_queries)[wanted if wanted.size else wanted.astype(np.intp)]
        return replace(
            self,
            queries=tuple(self.queries[row] for row in index),
            quality=self.quality[index],
            retrieval_calls=self.retrieval_calls[index],
            lm_calls=self.lm_calls[index],
            responses=None if self.responses is None else self.responses[index],
            readings={name: values[index] for name, values in self.readings.items()},
        )


def _checked(name: str, values: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    table = np.array(values, np.float64)
    if table.shape != shape:
        raise DataError(f"{name} has shape {table.shape}, expected {shape}")
    high = 1.0 if name == "quality" else np.inf
    if not ((table >= 0) & (table <= high) & np.isfinite(table)).all():
        raise DataError(
            f"{name} is not known everywhere, or lies outside 0 to {high:g}; complete rows are needed"
        )
    return table
