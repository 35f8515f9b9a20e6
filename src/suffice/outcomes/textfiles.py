"""CSV and JSON lines, plain or gzipped, read in blocks of bounded size."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from suffice.errors import DataError
from suffice.outcomes.columns import NUMBERS, TEXT

BLOCK_BYTES: Final = 1 << 24
MAX_DEPTH: Final = 100
_NESTING: Final = np.zeros(256, dtype=np.int8)
_NESTING[[ord("["), ord("{")]] = 1
_NESTING[[ord("]"), ord("}")]] = -1


def _open(path: str) -> Any:
    import pyarrow as pa

    return pa.input_stream(path, compression="gzip" if path.lower().endswith(".gz") else None)


# ------------------------------------------------------------------ CSV


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

    with _open(path) as stream:
        line = stream.read(1 << 16).split(b"\n", 1)[0]
    return next(csv.reader([line.decode("utf-8-sig", "replace").rstrip("\r")]))


def _csv_reader(path: str, types: dict[str, Any] | None, bad_rows: list[Any]) -> Any:
    import pyarrow.csv as pc

    def note(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    return pc.open_csv(
        _open(path),
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
    import pyarrow as pa
    import pyarrow.csv as pc

    with pa.output_stream(path, compression="gzip" if path.lower().endswith(".gz") else None) as stream:
        pc.write_csv(table, stream)


# ------------------------------------------------------------------ JSON lines


def json_tables(path: str) -> Iterator[Any]:
    """One table per block of whole lines."""
    import pyarrow as pa

    row = 1
    is_empty = True
    for block in _blocks(path):
        if not block.strip():
            continue
        is_empty = False
        table = _json_fast(block) if _is_flat(block) else None
        if table is None:
            table = _json_careful(block, path, row)
        row += table.num_rows
        yield table
    if is_empty:
        yield pa.table({})


def _blocks(path: str) -> Iterator[bytes]:
    rest = b""
    with _open(path) as stream:
        while data := stream.read(BLOCK_BYTES):
            head, newline, tail = data.rpartition(b"\n")
            if not newline:
                rest += data
                continue
            yield rest + head
            rest = tail
    yield rest


def _is_flat(block: bytes) -> bool:
    """Whether no line nests deeply: Arrow's parser recurses without a limit, until the stack ends."""
    data = np.frombuffer(block, dtype=np.uint8)
    steps = _NESTING[data]
    places = np.flatnonzero(steps)
    depth = np.cumsum(steps[places], dtype=np.int64)
    ends = np.flatnonzero(data == ord("\n"))
    # depth where each line starts: that of the last bracket before it
    before = np.concatenate([[0], depth])[np.concatenate([[0], np.searchsorted(places, ends)])]
    line = np.searchsorted(ends, places)
    return bool((depth - before[line]).max(initial=0) <= MAX_DEPTH)


def _json_fast(block: bytes) -> Any | None:
    """Arrow's own parser, or None where it cannot tell what is wrong or would guess dates."""
    import pyarrow as pa
    import pyarrow.json as pj

    named = [name for name in (*TEXT, *NUMBERS) if f'"{name}"'.encode() in block]
    schema = pa.schema([(name, pa.string() if name in TEXT else pa.float64()) for name in named])
    try:
        table = pj.read_json(
            pa.BufferReader(block),
            read_options=pj.ReadOptions(block_size=len(block) + 1, use_threads=False),
            parse_options=pj.ParseOptions(explicit_schema=schema, newlines_in_values=False),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    guessed = any(pa.types.is_temporal(field.type) for field in table.schema)
    return None if guessed else table


def _json_careful(block: bytes, path: str, first_row: int) -> Any:
    """Line by line: slow, forgiving about types, and it knows the row."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for line in block.split(b"\n"):
        if line.strip():
            rows.append(_json_row(line, path, first_row + len(rows)))
    columns = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        if name in NUMBERS:
            values = [
                _json_number(value, path, first_row + index, name) for index, value in enumerate(values)
            ]
            columns[name] = pa.array(values, pa.float64())
        elif name in TEXT:
            columns[name] = pa.array(
                [_json_text(value, path, first_row + index, name) for index, value in enumerate(values)],
                pa.large_string(),
            )
        else:
            columns[name] = _json_extra(values)
    return pa.table(columns)


def _json_row(line: bytes, path: str, row: int) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig" if row == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8; convert the file to UTF-8", file=path, row=row) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}; expected one object per line", file=path, row=row) from error
    if not isinstance(value, dict):
        raise DataError(
            f"expected one JSON object per line, found {type(value).__name__}", file=path, row=row
        )
    return value


def _json_number(value: Any, path: str, row: int, column: str) -> float | None:
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    try:
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        shown = repr(value)[:60]
        raise DataError(
            f"{shown} is not a number; use null if unknown", file=path, row=row, column=column
        ) from None
    return None if math.isnan(number) else number


def _json_text(value: Any, path: str, row: int, column: str) -> str | None:
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
    else:
        raise DataError(f"expected text, found {type(value).__name__}", file=path, row=row, column=column)
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise DataError(
            "holds half a surrogate pair, which is no text", file=path, row=row, column=column
        ) from None
    return text


def _json_extra(values: list[Any]) -> Any:
    """An extra column in its own type, or as JSON text where its values have no common one."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError, ValueError):
        texts = [None if value is None else json.dumps(value) for value in values]
        return pa.array(texts, pa.large_string())


def write_json(table: Any, path: str) -> None:
    """One object per line; unknown values are null."""
    import msgspec
    import pyarrow as pa

    with pa.output_stream(path, compression="gzip" if path.lower().endswith(".gz") else None) as stream:
        for batch in table.to_batches(max_chunksize=1 << 14):
            stream.write(b"".join(msgspec.json.encode(row) + b"\n" for row in batch.to_pylist()))
