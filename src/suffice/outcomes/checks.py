"""What an `Outcomes` insists on: shapes, bounds, distinct names, read-only arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError
from suffice.types import FloatArray, Query


def identified(queries: Sequence[Query | str]) -> tuple[Query, ...]:
    """Queries with an id each: their own, else their index."""
    rows = [
        Query(text=query, id=str(index))
        if isinstance(query, str)
        else query
        if query.id is not None
        else msgspec.structs.replace(query, id=str(index))
        for index, query in enumerate(queries)
    ]
    check_distinct([query.id or "" for query in rows], "query id")
    return tuple(rows)


def check_distinct(names: Sequence[str], what: str) -> None:
    """Raises DataError if a name occurs twice."""
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{what} {name!r} occurs twice; each must be given once")
        seen.add(name)


def row_index(rows: Any) -> Any:
    """Something that numpy indexes with, an empty list included."""
    return rows if isinstance(rows, slice) else np.asarray(rows) if len(rows) else np.zeros(0, np.intp)


def frozen(array: Any) -> Any:
    """A read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


def matrix(values: ArrayLike | None, name: str, shape: tuple[int, int]) -> FloatArray:
    """A read-only (n, K) copy, once its shape and its values fit; DataError otherwise."""
    if values is None:
        return frozen(np.full(shape, np.nan))  # type: ignore[no-any-return]  # a view of the same type
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, expected (queries, arms) = {shape}")
    upper = 1.0 if name == "quality" else np.inf
    bad = np.isinf(array) | (array < 0) | (array > upper)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        bounds = "in [0, 1]" if name == "quality" else "at least 0 and finite"
        raise DataError(
            f"{name}[{row}, {column}] is {array[row, column]}; expected {bounds}, or NaN if unknown"
        )
    return frozen(array)  # type: ignore[no-any-return]  # a view of the same type


def vectors(values: ArrayLike, n: int) -> NDArray[np.float32]:
    """A read-only (n, d) copy, once it is finite and n long; DataError otherwise."""
    array = np.array(values, dtype=np.float32)
    if array.ndim != 2 or len(array) != n or not np.isfinite(array).all():
        raise DataError(f"embeddings have shape {array.shape}; expected {n} finite rows of one length")
    return frozen(array)  # type: ignore[no-any-return]  # a view of the same type
