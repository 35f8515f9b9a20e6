"""Files to validated tables: batch by batch, with file, row and column in every complaint."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from suffice.errors import DataError
from suffice.outcomes.columns import canonical, check_there

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

FORMATS: Final = (".parquet", ".jsonl", ".ndjson", ".csv")
BATCH_ROWS: Final = 1 << 16


def expand(paths: Paths) -> list[str]:
    """One path, a glob or several of them, as existing files in the order given.

    Raises
    ------
    DataError
        If a path names no file, or a directory, or a glob none.
    """
    given = [paths] if isinstance(paths, str | PathLike) else list(paths)
    files: list[str] = []
    for path in [fspath(path) for path in given]:
        if Path(path).is_dir():
            raise DataError("is a directory; give a file, a glob or a list of files", file=path)
        matches = [path] if Path(path).is_file() else sorted(filter(_is_file, glob.glob(path)))
        if not matches:
            raise DataError("no such file; give a file, a glob or a list of files", file=path)
        files.extend(matches)
    if not files:
        raise DataError("no file given; give a file, a glob or a list of files")
    return files


def _is_file(path: str) -> bool:
    return Path(path).is_file()


def format_of(path: str) -> str:
    """The extension that decides the format: one of FORMATS, `.gz` stripped.

    Raises
    ------
    DataError
        For any other extension.
    """
    name = Path(path).name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix not in FORMATS or (suffix == ".parquet" and name.endswith(".gz")):
        raise DataError(f"unknown format; expected a name that ends in {', '.join(FORMATS)}", file=path)
    return suffix


def batches(
    path: str,
    *,
    required: Collection[str] = (),
    filled: Collection[str] = (),
    keep: Collection[str] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[Any]:
    """The file's rows as canonical `pyarrow.Table`s, in order.

    Parameters
    ----------
    path : file
    required : columns that must exist
    filled : required columns in which no row may be empty
    keep : columns to load, where they exist; None keeps all
    batch_rows : rows at a time, for Parquet; text formats take 16 MiB at a time

    Raises
    ------
    DataError
        With file, row and column, for anything that cannot be read.
    """
    import pyarrow as pa

    # imported by format: csv and json readers cost time that a Parquet file need not pay
    kind = format_of(path)
    try:
        if kind == ".parquet":
            tables = _parquet(path, (*required, *filled), keep, batch_rows)
        elif kind == ".csv":
            from suffice.outcomes.csvfiles import csv_tables

            tables = csv_tables(path)
        else:
            from suffice.outcomes.jsonlines import json_tables

            tables = json_tables(path)
        row = 1
        for table in tables:
            check_there(table.column_names, (*required, *filled), path)
            wanted = [name for name in table.column_names if keep is None or name in keep]
            yield canonical(table.select(wanted), file=path, first_row=row, filled=filled)
            row += table.num_rows
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise DataError(f"cannot be read as {kind[1:]}: {_one_line(error)}", file=path) from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"


def _parquet(
    path: str, needed: Collection[str], keep: Collection[str] | None, batch_rows: int
) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise DataError("this column occurs twice; rename one", file=path, column=repeated)
        check_there(names, needed, path)
        columns = None if keep is None else [name for name in names if name in keep]
        schema = file.schema_arrow if columns is None else pa.schema(map(file.schema_arrow.field, columns))
        is_empty = True
        for batch in file.iter_batches(batch_size=batch_rows, columns=columns):
            is_empty = False
            yield pa.Table.from_batches([batch])
        if is_empty:
            yield schema.empty_table()


def load(
    paths: Paths,
    *,
    required: Collection[str] = (),
    filled: Collection[str] = (),
    keep: Collection[str] | None = None,
) -> Any:
    """All rows of all files as one canonical `pyarrow.Table`; columns that a file lacks are null there."""
    import pyarrow as pa

    tables = [
        table
        for path in expand(paths)
        for table in batches(path, required=required, filled=filled, keep=keep)
    ]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"the files' columns do not fit together: {_one_line(error)}") from error


def save(table: Any, path: str | PathLike[str]) -> None:
    """Write a table in the format of the path's extension.

    Raises
    ------
    DataError
        If the extension is unknown or the file cannot be written.
    """
    import pyarrow as pa

    name = fspath(path)
    kind = format_of(name)
    try:
        if kind == ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, name, compression="zstd")
        else:
            from suffice.outcomes.csvfiles import write_csv
            from suffice.outcomes.jsonlines import write_json

            (write_csv if kind == ".csv" else write_json)(table, name)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot be written: {_one_line(error)}", file=name) from error
