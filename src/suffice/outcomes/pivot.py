"""Long rows to a (queries, arms) table, vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from suffice.errors import ConfigError, DataError
from suffice.types import FloatArray, IntArray, Query

if TYPE_CHECKING:
    from suffice.outcomes.table import Outcomes

VALUES: Final = {
    "quality": "score",
    "cost_usd": "cost_usd",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "latency_s": "latency_s",
}
"""Field of `Outcomes` -> column of the file."""
MAX_CELLS: Final = 200_000_000
AGGREGATES: Final = ("error", "mean", "first")


def arm_columns(arm: str) -> tuple[str, ...]:
    """ "model+strategy" -> ("model", "strategy")."""
    return tuple(part.strip() for part in arm.split("+"))


def pivot(table: Any, *, arm: str, aggregate: str, responses: bool, file: str | None = None) -> Outcomes:
    """Queries and arms in the order of their first rows; unknown cells are NaN. `file` is for complaints."""
    from suffice.outcomes.table import Outcomes

    if aggregate not in AGGREGATES:
        raise ConfigError(f"aggregate={aggregate!r}: expected one of {', '.join(AGGREGATES)}")
    if "score" not in table.column_names:
        raise DataError("this required column is missing; outcomes need scores", file=file, column="score")
    if table.num_rows == 0:
        raise DataError("no rows are left to read; expected at least one", file=file)
    query_of, ids = _encode(table, "query_id")
    arm_of, arms = _arms(table, arm)
    n, n_arms = len(ids), len(arms)
    if n * n_arms > MAX_CELLS:
        message = f"{n} queries x {n_arms} arms is too large a table; is {arm!r} the column of models?"
        raise DataError(message, file=file)
    cells = query_of * n_arms + arm_of
    first = _first_rows(cells, n * n_arms)
    if aggregate == "error" and table.num_rows > np.count_nonzero(first >= 0):
        raise DataError(_repeated(table, cells, first, ids, arms), file=file)
    columns = {
        field: _fill(_floats(table, column), cells, first, (n, n_arms), aggregate == "mean")
        for field, column in VALUES.items()
    }
    rows = _first_rows(query_of, n)
    return Outcomes.from_arrays(
        _queries(table, query_of, rows, ids, file),
        arms,
        **columns,
        responses=_responses(table, first, (n, n_arms)) if responses else None,
        references=_texts(table, "reference", rows) if "reference" in table.column_names else None,
        embeddings=_embeddings(table, rows),
    )


def _encode(table: Any, name: str) -> tuple[IntArray, list[str]]:
    """Codes in order of first appearance, and what they stand for; -1 is null."""
    encoded = table.column(name).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    return codes, encoded.dictionary.to_pylist()


def _arms(table: Any, arm: str) -> tuple[IntArray, list[str]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    names = arm_columns(arm)
    for name in names:
        if name not in table.column_names:
            listed = ", ".join(table.column_names)
            raise DataError(f"no such column for arm={arm!r}; there are: {listed}", column=name)
        if table.column(name).null_count:
            row = int(pc.index(pc.is_null(table.column(name)), value=pa.scalar(True)).as_py())
            query = table.column("query_id")[row].as_py()
            raise DataError(f"missing for query {query!r}; every row needs its arm", column=name)
    parts = [table.column(name).cast(pa.large_string()) for name in names]
    joined = (
        parts[0]
        if len(parts) == 1
        else pc.binary_join_element_wise(*parts, pa.scalar("/", pa.large_string()))
    )
    return _encode(pa.table({arm: joined}), arm)


def _first_rows(codes: IntArray, n: int) -> IntArray:
    """For each code its first row; -1 where it has none."""
    first = np.full(n, -1, dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.intp)
    return first


def _floats(table: Any, name: str) -> FloatArray | None:
    """The column as float64 with NaN for null; None where it is missing or holds nothing."""
    if name not in table.column_names or table.column(name).null_count == table.num_rows:
        return None
    values: FloatArray = table.column(name).to_numpy().astype(np.float64)
    return values


def _fill(
    values: FloatArray | None, cells: IntArray, first: IntArray, shape: tuple[int, int], is_mean: bool
) -> FloatArray:
    """(n, K) from long values: the first row's, or the mean of the known ones."""
    if values is None:
        return np.full(shape, np.nan)
    if is_mean:
        known = ~np.isnan(values)
        sums = np.bincount(cells[known], weights=values[known], minlength=len(first))
        counts = np.bincount(cells[known], minlength=len(first))
        filled = np.divide(sums, counts, out=np.full(len(first), np.nan), where=counts > 0)
    else:
        filled = np.where(first >= 0, values[first], np.nan)
    table: FloatArray = filled.reshape(shape)
    return table


def _repeated(table: Any, cells: IntArray, first: IntArray, ids: list[str], arms: list[str]) -> str:
    """The complaint about the first (query, arm) that occurs again."""
    row = int(np.flatnonzero(first[cells] != np.arange(len(cells)))[0])
    query, arm = divmod(int(cells[row]), len(arms))
    rows = np.flatnonzero(cells == cells[row])
    differing = [
        name
        for name in ("strategy", "turn", "sample", "temperature", "model", "split")
        if name in table.column_names and len(set(table.column(name).take(rows).to_pylist())) > 1
    ]
    remedy = "aggregate='mean' averages them, aggregate='first' keeps the first"
    if differing:
        remedy += f"; they differ in {', '.join(differing)}: choose with where=, or make it part of arm="
    return f"{len(rows)} rows for query {ids[query]!r} and arm {arms[arm]!r}; {remedy}"


def _queries(table: Any, query_of: IntArray, rows: IntArray, ids: list[str], file: str | None) -> list[Query]:
    """One Query per id; its text is that of its first row which has one."""
    texts, vocabulary = _encode(table, "query")
    has_text = texts >= 0
    first_text = np.full(len(ids), -1, dtype=np.intp)
    first_text[query_of[has_text][::-1]] = texts[has_text][::-1]
    conflict = np.flatnonzero(has_text & (texts != first_text[query_of]))
    if len(conflict):
        raise DataError(
            f"query_id {ids[query_of[conflict[0]]]!r} names two different texts; give each query its own id",
            file=file,
            column="query",
        )
    tasks = _texts(table, "task", rows) if "task" in table.column_names else (None,) * len(ids)
    return [
        Query(text=vocabulary[text] if text >= 0 else "", id=name, task=task)
        for name, text, task in zip(ids, first_text.tolist(), tasks, strict=True)
    ]


def _texts(table: Any, name: str, rows: IntArray) -> tuple[str | None, ...]:
    return tuple(table.column(name).take(rows).to_pylist())


def _responses(table: Any, first: IntArray, shape: tuple[int, int]) -> Any:
    """(n, K) objects: the first row's response, None where there is none."""
    responses = np.full(len(first), None, dtype=object)
    if "response" in table.column_names:
        known = np.flatnonzero(first >= 0)
        responses[known] = table.column("response").take(first[known]).to_pylist()
    return responses.reshape(shape)


def _embeddings(table: Any, rows: IntArray) -> Any:
    """(n, d) float32 from a list column `embedding`, filled on the first row of each query."""
    import pyarrow as pa

    if "embedding" not in table.column_names:
        return None
    kind = table.column("embedding").type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    vectors = table.column("embedding").take(rows).to_pylist()
    if any(vector is None for vector in vectors) or len({len(vector) for vector in vectors}) != 1:
        raise DataError(
            "expected one vector of the same length on every query's first row", column="embedding"
        )
    return np.array(vectors, dtype=np.float32)
