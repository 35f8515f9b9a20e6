"""JSON lines, plain or gzipped, read in blocks of bounded size."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from suffice.errors import DataError
from suffice.outcomes.columns import NUMBERS, TEXT
from suffice.outcomes.streams import BLOCK_BYTES, open_input, open_output

MAX_DEPTH: Final = 100
_NESTING: Final = np.zeros(256, dtype=np.int8)
_NESTING[[ord("["), ord("{")]] = 1
_NESTING[[ord("]"), ord("}")]] = -1


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
    with open_input(path) as stream:
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

    with open_output(path) as stream:
        for batch in table.to_batches(max_chunksize=1 << 14):
            stream.write(b"".join(msgspec.json.encode(row) + b"\n" for row in batch.to_pylist()))
