"""`Runs`: one row per recorded call, columnar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from suffice.errors import DataError
from suffice.outcomes import reading
from suffice.outcomes.pivot import pivot
from suffice.outcomes.reading import Paths

if TYPE_CHECKING:
    from suffice.outcomes.table import Outcomes

Aggregate = Literal["error", "mean", "first"]


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """Recorded calls: query, model, strategy, turn, sample, tokens, cost, latency, score and any extras.

    Columns with a known name have one type each (text, float64, int64); null is unknown. Other columns
    are kept as they are.
    """

    table: Any
    """The `pyarrow.Table`; at least `query_id` and `query`."""

    @classmethod
    def read(cls, path: Paths) -> Runs:
        """Every row of a Parquet, JSONL or CSV file (text formats also as .gz), a glob or a list.

        Raises
        ------
        DataError
            With file, row and column, for anything that cannot be read.
        """
        return cls(reading.load(path, required=("query",), filled=("query_id",)))

    @classmethod
    def iter_batches(cls, path: Paths, *, batch_rows: int = reading.BATCH_ROWS) -> Iterator[Runs]:
        """As `read`, a bounded part at a time: `batch_rows` rows of Parquet, 16 MiB of text.

        Raises
        ------
        DataError
            As `read`, when the bad row is reached.
        """
        for file in reading.expand(path):
            for table in reading.batches(
                file, required=("query",), filled=("query_id",), batch_rows=batch_rows
            ):
                yield cls(table)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.table.column_names)

    def column(self, name: str) -> list[Any]:
        """One column's values; None is unknown.

        Raises
        ------
        DataError
            If there is no such column.
        """
        return list(self._column(name).to_pylist())

    def where(self, **values: Any) -> Runs:
        """Rows whose columns have the given values: `runs.where(turn=1, strategy=("none", "single"))`.

        Raises
        ------
        DataError
            If there is no such column, or a value does not fit its type.
        """
        return Runs(matching(self.table, values))

    def to_outcomes(
        self,
        *,
        arm: str = "model",
        aggregate: Aggregate = "error",
        where: Mapping[str, Any] | None = None,
        responses: bool = False,
    ) -> Outcomes:
        """Queries by arms; parameters as in `Outcomes.read`.

        Raises
        ------
        DataError
            If (query, arm) rows repeat and `aggregate` is "error", an arm is missing, or one query id
            names two texts.
        """
        return pivot(matching(self.table, where or {}), arm=arm, aggregate=aggregate, responses=responses)

    def write(self, path: str | PathLike[str]) -> None:
        """Parquet, JSONL or CSV by extension; text formats also as .gz."""
        reading.save(self.table, path)

    def _column(self, name: str) -> Any:
        if name not in self.table.column_names:
            raise DataError(f"no such column; there are: {', '.join(self.columns)}", column=name)
        return self.table.column(name)


def matching(table: Any, values: Mapping[str, Any]) -> Any:
    """The table's rows whose columns have these values (one, or any of several)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, value in values.items():
        if name not in table.column_names:
            raise DataError(f"no such column; there are: {', '.join(table.column_names)}", column=name)
        column = table.column(name)
        wanted = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.utf8_lower(column) if all(isinstance(item, bool) for item in wanted) else column
            wanted = [_as_written(item) for item in wanted]
        try:
            value_set = pa.array(wanted).cast(column.type)
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(f"{value!r} cannot be compared with {column.type}", column=name) from error
        table = table.filter(pc.is_in(column, value_set=value_set))
    return table


def _as_written(value: Any) -> Any:
    """How a value stands in a text column."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
