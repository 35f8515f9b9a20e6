"""Known columns: their types, their bounds, and how a bad value is found and named."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from typing import Any, Final

from suffice.errors import DataError

logger = logging.getLogger(__name__)

TEXT: Final = (
    "query_id",
    "query",
    "model",
    "strategy",
    "task",
    "split",
    "response",
    "reference",
    "model_a",
    "model_b",
    "judge",
    "annotator",
)
NUMBERS: Final = (
    "score",
    "pref_b",
    "cost_usd",
    "prompt_tokens",
    "completion_tokens",
    "latency_s",
    "temperature",
    "logprob",
    "usd_per_mtok_in",
    "usd_per_mtok_out",
)
WHOLE: Final = ("sample", "turn", "seed")
SHARES: Final = ("score", "pref_b")
"""In [0, 1]."""
NOT_NEGATIVE: Final = (
    "cost_usd",
    "prompt_tokens",
    "completion_tokens",
    "latency_s",
    "usd_per_mtok_in",
    "usd_per_mtok_out",
)
SLACK: Final = 0.05
"""A share this little outside [0, 1] is a metric's own quirk (METEOR can fall just below 0): it is
moved to the bound, and the log says so. Anything further out is another scale, and an error."""


def check_there(names: Sequence[str], needed: Collection[str], file: str) -> None:
    """Raise a DataError where a column is missing, with all that the file has."""
    for name in needed:
        if name not in names:
            listed = ", ".join(names) or "none"
            raise DataError(
                f"this required column is missing; the file has: {listed}", file=file, column=name
            )


def canonical(table: Any, *, file: str, first_row: int, filled: Collection[str] = ()) -> Any:
    """The same rows with known columns in one type each: text, float64 or int64.

    Parameters
    ----------
    table : pyarrow.Table
    file, first_row : for complaints; the number of the table's first row in its file
    filled : columns in which no row may be empty

    Raises
    ------
    DataError
        For a missing value, a value that is no number, and one outside its bounds.
    """
    for index, name in enumerate(table.column_names):
        where = _Place(file, first_row, name)
        column = table.column(index)
        if name in TEXT:
            column = _as_text(column, where)
        elif name in NUMBERS:
            column = _within(_as_number(column, where), where)
        elif name in WHOLE:
            column = _as_whole(column, where)
        if name in filled:
            _check_filled(column, where)
        table = table.set_column(index, name, column)
    return table


class _Place:
    """Where a column stands."""

    def __init__(self, file: str, first_row: int, column: str) -> None:
        self.file, self.first_row, self.column = file, first_row, column

    def error(self, message: str, index: int | None = None) -> DataError:
        row = None if index is None else self.first_row + index
        return DataError(message, file=self.file, row=row, column=self.column)

    def first(self, mask: Any) -> int | None:
        """Index of the first true value."""
        import pyarrow as pa
        import pyarrow.compute as pc

        index = pc.index(mask, value=pa.scalar(True)).as_py()
        return None if index < 0 else int(index)


def _as_text(column: Any, where: _Place) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise where.error(f"expected text, found {kind}")
    if pa.types.is_floating(kind):
        return _float_ids(column)
    if not pa.types.is_large_string(kind):
        column = column.cast(pa.large_string())
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        for index, value in enumerate(column.cast(pa.large_binary(), safe=False).to_pylist()):
            if not _is_utf8(value):
                raise where.error(f"{value[:40]!r} is not UTF-8; convert the file to UTF-8", index) from error
        raise
    return column


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _float_ids(column: Any) -> Any:
    """Whole floats as integers: what pandas makes of an integer column with a gap in it."""
    import pyarrow as pa

    values = (
        None if value is None else str(int(value)) if value.is_integer() else str(value)
        for value in column.to_pylist()
    )
    return pa.chunked_array([pa.array(values, pa.large_string())])


def _as_number(column: Any, where: _Place) -> Any:
    """float64; empty text and NaN become null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        numbers = _parse(column, where)
    elif pa.types.is_boolean(kind):
        numbers = column.cast(pa.uint8()).cast(pa.float64())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64(), safe=False)
    elif pa.types.is_null(kind):
        numbers = column.cast(pa.float64())
    else:
        raise where.error(f"expected numbers, found {kind}")
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _parse(column: Any, where: _Place) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, column.type), text)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        values = text.to_pylist()
    numbers: list[float | None] = []
    for index, value in enumerate(values):
        try:
            numbers.append(None if value is None else _number(value))
        except ValueError:
            raise where.error(f"{_short(value)} is not a number; leave it empty if unknown", index) from None
    return pa.chunked_array([pa.array(numbers, pa.float64())])


def _number(text: str) -> float:
    lowered = text.lower()
    if lowered in {"null", "none", "na", "n/a"}:
        return math.nan
    if lowered in {"true", "false"}:
        return float(lowered == "true")
    return float(text)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _within(column: Any, where: _Place) -> Any:
    """The column, once every value is finite and inside the bounds of its name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    index = where.first(pc.is_inf(column))
    if index is not None:
        raise where.error("an infinite value; leave it empty if unknown", index)
    if where.column in SHARES:
        outside = pc.or_(pc.less(column, -SLACK), pc.greater(column, 1 + SLACK))
        index = where.first(outside)
        if index is not None:
            raise where.error(
                f"{column[index].as_py()} is outside [0, 1]; rescale the column, or leave it empty",
                index,
            )
        near = pc.or_(pc.less(column, 0.0), pc.greater(column, 1.0))
        index = where.first(near)
        if index is not None:
            logger.warning("%s", where.error(f"{column[index].as_py()} moved into [0, 1]", index))
            column = pc.max_element_wise(
                pc.min_element_wise(column, pa.scalar(1.0), skip_nulls=False),
                pa.scalar(0.0),
                skip_nulls=False,
            )
    elif where.column in NOT_NEGATIVE:
        index = where.first(pc.less(column, 0.0))
        if index is not None:
            raise where.error(
                f"{column[index].as_py()} is negative; expected 0 or more, or empty if unknown", index
            )
    return column


def _as_whole(column: Any, where: _Place) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type) and column.type != pa.uint64():
        return column.cast(pa.int64())
    numbers = _as_number(column, where)
    odd = pc.or_(pc.not_equal(pc.floor(numbers), numbers), pc.greater(pc.abs(numbers), 2.0**53))
    index = where.first(odd)
    if index is not None:
        raise where.error(f"{_short(column[index].as_py())} is not a whole number below 2**53", index)
    return numbers.cast(pa.int64())


def _check_filled(column: Any, where: _Place) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = pc.is_null(column)
    if pa.types.is_large_string(column.type):
        empty = pc.or_(empty, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True))
    index = where.first(empty)
    if index is not None:
        raise where.error("this value is missing; every row needs one", index)
