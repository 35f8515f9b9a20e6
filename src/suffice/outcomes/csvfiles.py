"""CSV, plain or gzipped, read in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from suffice.errors import DataError
from suffice.outcomes.streams import BLOCK_BYTES, open_input, open_output


def csv_tables(path: str) -> Iterator[Any]:
    """Every column as text: values are parsed where their type is known, so that errors name the row."""
    import pyarrow as pa

    names = _csv_header(path)
    bad_rows: list[Any] = []
    try:
        with _csv_reader(path, dict.fromkeys(names, pa.large_string()), bad_rows) as reader:
            is_empty = True
            for batch in reader:
                is_empty = False
                yield pa.Table.from_batches([batch])
            if is_empty:
                yield reader.schema.empty_table()
    except pa.ArrowInvalid as error:
        if bad_rows:
            bad = bad_rows[0]
            raise DataError(
                f"expected {bad.expected_columns} columns, found {bad.actual_columns}: {bad.text[:80]!r}",
                file=path,
                row=None if bad.number is None else bad.number - 1,
            ) from error
        if "UTF8" in str(error):
            _raise_bad_utf8(path, names, error)
        raise


def _csv_header(path: str) -> list[str]:
    import pyarrow as pa

    try:
        with _csv_reader(path, None, []) as reader:
            names = list(reader.schema.names)
    except UnicodeDecodeError:
        raise DataError("the header is not UTF-8; convert the file to UTF-8", file=path) from None
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise DataError("the file is empty; expected a header and rows", file=path) from error
        # the first block has a bad row: its header stands in the first line all the same
        names = _first_line_names(path)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError("this column occurs twice; rename one", file=path, column=repeated)
    return names


def _first_line_names(path: str) -> list[str]:
    import csv

    with open_input(path) as stream:
        line = stream.read(1 << 16).split(b"\n", 1)[0]
    return next(csv.reader([line.decode("utf-8-sig", "replace").rstrip("\r")]))


def _csv_reader(path: str, types: dict[str, Any] | None, bad_rows: list[Any]) -> Any:
    import pyarrow.csv as pc

    def note(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    return pc.open_csv(
        open_input(path),
        read_options=pc.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pc.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
        convert_options=pc.ConvertOptions(
            column_types=types, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False
        ),
    )


def _raise_bad_utf8(path: str, names: list[str], cause: Exception) -> None:
    import pyarrow as pa

    row = 1
    with _csv_reader(path, dict.fromkeys(names, pa.large_binary()), []) as reader:
        for batch in reader:
            for index, values in enumerate(zip(*(column.to_pylist() for column in batch), strict=True)):
                for name, value in zip(names, values, strict=True):
                    try:
                        (value or b"").decode()
                    except UnicodeDecodeError:
                        raise DataError(
                            f"{value[:40]!r} is not UTF-8; convert the file to UTF-8",
                            file=path,
                            row=row + index,
                            column=name,
                        ) from cause
            row += batch.num_rows


def write_csv(table: Any, path: str) -> None:
    """Text is always quoted, so that an empty text differs from an unknown one."""
    import pyarrow.csv as pc

    with open_output(path) as stream:
        pc.write_csv(table, stream)
