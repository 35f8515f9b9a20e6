"""`Outcomes`: measured quality, cost, tokens and latency of every arm on every query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError, UnknownName
from suffice.outcomes.checks import check_distinct, frozen, identified, matrix, row_index, vectors
from suffice.outcomes.splitting import assign
from suffice.types import FloatArray, Price, Query

_MATRICES = ("quality", "cost_usd", "prompt_tokens", "completion_tokens", "latency_s")


@dataclass(frozen=True, eq=False, slots=True)
class Outcomes:
    """n queries by K arms. All arrays are (n, K) float64, read-only, with NaN for unknown."""

    queries: tuple[Query, ...]
    """Each with an id of its own."""
    arms: tuple[str, ...]
    quality: FloatArray
    """In [0, 1], higher is better."""
    cost_usd: FloatArray
    prompt_tokens: FloatArray
    completion_tokens: FloatArray
    latency_s: FloatArray
    responses: NDArray[np.object_] | None = None
    """(n, K) of str or None."""
    references: tuple[str | None, ...] | None = None
    embeddings: NDArray[np.float32] | None = None
    """(n, d)"""

    @property
    def n_queries(self) -> int:
        return len(self.queries)

    @property
    def n_arms(self) -> int:
        return len(self.arms)

    @property
    def tasks(self) -> tuple[str | None, ...]:
        return tuple(query.task for query in self.queries)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(query.text for query in self.queries)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(query.id or "" for query in self.queries)

    @classmethod
    def read(
        cls,
        path: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        arm: str = "model",
        aggregate: Literal["error", "mean", "first"] = "error",
        where: Mapping[str, Any] | None = None,
        responses: bool = False,
    ) -> Outcomes:
        """Parquet, JSONL or CSV in the long format of `docs/data.md`; text formats also as .gz.

        Parameters
        ----------
        path : a file, a glob, or several of them
        arm : the column that names the arms; "model+strategy" joins two with a slash
        aggregate : what to do when a (query, arm) repeats: refuse, average the known values, keep the first
        where : column -> value or values; only such rows are read
        responses : whether to load the response texts

        Raises
        ------
        DataError
            With file, row and column, for anything that cannot be read.
        """
        from suffice.outcomes.pivot import VALUES, arm_columns, pivot
        from suffice.outcomes.reading import expand, load
        from suffice.outcomes.runs import matching

        arms = arm_columns(arm)
        where = where or {}
        keep = {"query_id", "query", "task", "reference", "embedding", *VALUES.values(), *arms, *where}
        keep |= {"strategy", "turn", "sample", "temperature", "model"}  # named when rows repeat
        keep |= {"response"} if responses else set()
        files = expand(path)
        table = load(files, required=("query", "score", *where), filled=("query_id", *arms), keep=keep)
        rows = matching(table, where)
        return pivot(rows, arm=arm, aggregate=aggregate, responses=responses, file=", ".join(files))

    @classmethod
    def from_arrays(
        cls,
        queries: Sequence[Query | str],
        arms: Sequence[str],
        quality: ArrayLike,
        *,
        cost_usd: ArrayLike | None = None,
        prompt_tokens: ArrayLike | None = None,
        completion_tokens: ArrayLike | None = None,
        latency_s: ArrayLike | None = None,
        responses: NDArray[np.object_] | None = None,
        references: Sequence[str | None] | None = None,
        embeddings: ArrayLike | None = None,
    ) -> Outcomes:
        """Checked and frozen.

        Parameters
        ----------
        queries : shape (n,); one without an id takes its index as id
        arms : shape (K,), all different
        quality : shape (n, K), in [0, 1] or NaN
        cost_usd, prompt_tokens, completion_tokens, latency_s : shape (n, K), at least 0 or NaN
            None: unknown throughout.
        responses : shape (n, K), str or None
        references : shape (n,)
        embeddings : shape (n, d), finite

        Raises
        ------
        DataError
            If a shape or a value does not fit, or an arm or a query id occurs twice.

        Examples
        --------
        >>> outcomes = Outcomes.from_arrays(["2 + 2?"], ["small", "large"], [[0.0, 1.0]])
        >>> outcomes.n_queries, outcomes.arms
        (1, ('small', 'large'))
        """
        rows = identified(queries)
        shape = (len(rows), len(arms))
        check_distinct(arms, "arm")
        given = (quality, cost_usd, prompt_tokens, completion_tokens, latency_s)
        matrices = {name: matrix(values, name, shape) for name, values in zip(_MATRICES, given, strict=True)}
        if responses is not None and responses.shape != shape:
            raise DataError(f"responses have shape {responses.shape}, expected {shape}")
        if references is not None and len(references) != shape[0]:
            raise DataError(f"{len(references)} references for {shape[0]} queries")
        return cls(
            rows,
            tuple(arms),
            **matrices,
            responses=None if responses is None else frozen(responses),
            references=None if references is None else tuple(references),
            embeddings=None if embeddings is None else vectors(embeddings, shape[0]),
        )

    def select(
        self,
        rows: Sequence[int] | NDArray[Any] | slice | None = None,
        arms: Sequence[str] | None = None,
    ) -> Outcomes:
        """Some queries (indices, a mask or a slice) and some arms, in the order given.

        Raises
        ------
        UnknownName
            If an arm is not in the table.
        DataError
            If a row or an arm is asked for twice.
        """
        index = np.arange(self.n_queries)[slice(None) if rows is None else row_index(rows)]
        names = self.arms if arms is None else tuple(arms)
        for name in names:
            if name not in self.arms:
                raise UnknownName("arm", name, self.arms)
        columns = np.array([self.arms.index(name) for name in names], dtype=np.intp)
        if len(set(index.tolist())) < len(index) or len(set(names)) < len(names):
            raise DataError("select was given a row or an arm twice; each may be taken once")
        grid = np.ix_(index, columns)
        return replace(
            self,
            queries=tuple(self.queries[row] for row in index),
            arms=names,
            **{name: frozen(getattr(self, name)[grid]) for name in _MATRICES},
            responses=None if self.responses is None else frozen(self.responses[grid]),
            references=None if self.references is None else tuple(self.references[row] for row in index),
            embeddings=None if self.embeddings is None else frozen(self.embeddings[index]),
        )

    def split(
        self,
        fractions: float | Sequence[float],
        *,
        seed: int = 0,
        by: Literal["row", "cluster", "task"] = "row",
    ) -> tuple[Outcomes, ...]:
        """Disjoint parts that together hold every query.

        Which part a query falls into depends on its text, its id and the seed, not on the order of rows.
        Queries with the same normalised text stay together, whatever `by` is.

        Parameters
        ----------
        fractions : 0.5 for two halves, or one share per part, summing to 1
        seed : another seed, another split
        by : what stays together: nothing more, near-duplicates, or whole tasks (parts are then uneven)

        Raises
        ------
        DataError
            If the fractions are not positive shares that sum to 1, or `by` is unknown.
        """
        part_of = assign(self.queries, fractions, seed=seed, by=by)
        return tuple(self.select(np.flatnonzero(part_of == part)) for part in range(_n_parts(fractions)))

    def join(self, other: Outcomes) -> Outcomes:
        """These arms and the other's, on the same queries (in this table's order).

        Raises
        ------
        DataError
            If an arm is in both, or the queries' ids or texts differ.
        """
        shared = [name for name in other.arms if name in self.arms]
        if shared:
            raise DataError(f"arm {shared[0]!r} is in both tables; select(arms=...) one of them away")
        position = {name: row for row, name in enumerate(other.ids)}
        missing = [name for name in self.ids if name not in position]
        if missing or len(position) != self.n_queries:
            example = missing[0] if missing else next(name for name in position if name not in set(self.ids))
            raise DataError(f"query {example!r} is in one table only; select(rows=...) the shared ones first")
        matched = other.select([position[name] for name in self.ids])
        for mine, theirs in zip(self.queries, matched.queries, strict=True):
            if mine.text != theirs.text:
                raise DataError(f"query {mine.id!r} has another text in the other table")
        both = {name: np.hstack([getattr(self, name), getattr(matched, name)]) for name in _MATRICES}
        return replace(
            self,
            arms=self.arms + matched.arms,
            **{name: frozen(values) for name, values in both.items()},
            responses=_joined_responses(self, matched),
        )

    def with_prices(self, prices: Mapping[str, Price]) -> Outcomes:
        """The same table with costs computed from tokens, for every arm that has a price by the token.

        Where tokens or the price are unknown the recorded cost stays, known or not.
        """
        from suffice.catalogue.pricing import token_costs_usd

        costs = self.cost_usd.copy()
        for column, name in enumerate(self.arms):
            if name not in prices:
                continue
            new = token_costs_usd(
                prices[name], self.prompt_tokens[:, column], self.completion_tokens[:, column]
            )
            costs[:, column] = np.where(np.isnan(new), costs[:, column], new)
        return replace(self, cost_usd=frozen(costs))

    def write(self, path: str | PathLike[str]) -> None:
        """Parquet, JSONL or CSV by extension, in the long format; unknown cells are rows without values.

        Embeddings are kept by Parquet and JSONL only.

        Raises
        ------
        DataError
            If the extension is unknown or the file cannot be written.
        """
        from suffice.outcomes.reading import save
        from suffice.outcomes.writing import long_table

        save(long_table(self, with_embeddings=".csv" not in str(path).lower()), path)


def _n_parts(fractions: float | Sequence[float]) -> int:
    """How many parts `fractions` asks for."""
    return 2 if isinstance(fractions, int | float) else len(fractions)


def _joined_responses(one: Outcomes, other: Outcomes) -> NDArray[np.object_] | None:
    if one.responses is None and other.responses is None:
        return None
    parts = [
        np.full((table.n_queries, table.n_arms), None, dtype=object)
        if table.responses is None
        else table.responses
        for table in (one, other)
    ]
    return frozen(np.hstack(parts))  # type: ignore[no-any-return]  # a view of the same type
