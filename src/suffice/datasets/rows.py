"""Rows of a benchmark's own files: JSON lines, JSON, CSV and Parquet, also gzipped, or folders of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from suffice.errors import DataError

Row = dict[str, Any]
FILE: Final = "_file"
"""Key under which a row says which file it came from: some sets keep the subject in the file's name."""
_MAX_BYTES: Final = 4 << 30


def rows(path: Path, patterns: Sequence[str]) -> Iterator[Row]:
    """Rows of a file, or of all files of a folder that match the first pattern which any file matches.

    Raises
    ------
    DataError
        With the file, and the row where known, for what cannot be read or is not there.
    """
    for file in files(path, patterns):
        for row in _read(file):
            yield {**row, FILE: file.as_posix()}


def files(path: Path, patterns: Sequence[str]) -> list[Path]:
    """The file itself, or those of a folder, sorted."""
    if path.is_file():
        return [path]
    for pattern in patterns:
        if found := sorted(file for file in path.glob(pattern) if file.is_file()):
            return found
    raise DataError(f"holds none of {', '.join(patterns)}", file=str(path))


def _read(file: Path) -> Iterator[Row]:
    name = file.name.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            yield from _parquet(file)
        elif name.endswith(".csv"):
            yield from _csv(file)
        elif name.endswith((".jsonl", ".ndjson")):
            yield from _json_lines(file)
        elif name.endswith(".json"):
            yield from _json(file)
        else:
            raise DataError("expected a .jsonl, .json, .csv or .parquet file", file=str(file))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read: {error}", file=str(file)) from error


def _text(file: Path) -> str:
    data = file.read_bytes()
    if file.name.lower().endswith(".gz"):
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            data = stream.read(_MAX_BYTES)
    return data.decode("utf-8-sig")


def _json_lines(file: Path) -> Iterator[Row]:
    for number, line in enumerate(_text(file).split("\n"), 1):  # other line ends may stand inside texts
        if line.strip():
            yield _object(line, file, number)


def _object(text: str, file: Path, number: int | None) -> Row:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", file=str(file), row=number) from error
    if not isinstance(found, dict):
        raise DataError(f"expected an object, found {type(found).__name__}", file=str(file), row=number)
    return found


def _json(file: Path) -> Iterator[Row]:
    """One object, a list of them, or TriviaQA's object with a list under "Data"."""
    try:
        found = json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", file=str(file)) from error
    if isinstance(found, dict):
        found = found["Data"] if isinstance(found.get("Data"), list) else [found]
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError("expected an object or a list of objects", file=str(file))
    yield from found


def _csv(file: Path) -> Iterator[Row]:
    """With names from the first line; where that is data (MMLU), the columns are called "0", "1", ..."""
    lines = list(csv.reader(io.StringIO(_text(file), newline="")))
    if not lines:
        return
    head = [name.strip() for name in lines[0]]
    has_names = any(name.lower() in ("question", "query", "prompt", "problem") for name in head)
    names = head if has_names else [str(place) for place in range(len(head))]
    for number, line in enumerate(lines[1:] if has_names else lines, 1):
        if not line:
            continue
        if len(line) != len(names):
            raise DataError(f"{len(line)} fields, expected {len(names)}", file=str(file), row=number)
        yield dict(zip(names, line, strict=True))


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(str(file)) as source:
            for batch in source.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"cannot be read: {error}", file=str(file)) from error
