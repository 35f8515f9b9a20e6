"""Files to documents: text, Markdown, HTML, JSON lines, Parquet, and PDF with the extra `[retrieval]`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from suffice.errors import DataError, MissingDependency
from suffice.retrieval.corpus import Document

MAX_BYTES: Final = 64 << 20
"""Of one document; a larger one is refused."""

Skipped = Callable[[Path, str], None]
"""Told of a file of a folder that cannot be read, and why."""


def load(path: str | Path, *, skipped: Skipped | None = None) -> Iterator[Document]:
    """The documents of a file, or of all files of a folder whose kind is known.

    A text, Markdown, HTML or PDF file is one document; its id is its path as given, with that of the folder,
    so that files of one name in two folders are two documents. Each row of a JSONL or Parquet file is one,
    from `text` and optionally `id` and `source` (or `url`, `title`).

    Parameters
    ----------
    skipped : for a folder: instead of the error of a single file

    Raises
    ------
    DataError
        If a file is missing, binary, too large or of a kind that is not known, or a row has no text.
    """
    path = Path(path)
    if not path.is_dir():
        yield from _one(path)
        return
    for file in sorted(one for one in path.rglob("*") if one.is_file() and _is_shown(one, path)):
        if file.suffix.lower() not in _READERS:
            continue
        try:
            yield from _one(file)
        except (DataError, OSError) as error:
            if skipped is None:
                raise
            skipped(file, str(error))


def _is_shown(file: Path, folder: Path) -> bool:
    """Whether neither it nor a folder on the way is hidden, and it is not a link out of the folder."""
    inside = file.resolve().is_relative_to(folder.resolve())
    return inside and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _one(path: Path) -> Iterator[Document]:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"not a kind that is read; known: {', '.join(_READERS)}", file=str(path))
    if not path.is_file():
        raise DataError("no such file", file=str(path))
    yield from read(path, path.as_posix())


def _text(path: Path, name: str) -> Iterator[Document]:
    yield Document(name, _decoded(path), name)


def _decoded(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"larger than {MAX_BYTES >> 20} MiB: split it", file=str(path))
    content = path.read_bytes()
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("binary, not text", file=str(path))
    try:
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error.reason} at byte {error.start}", file=str(path)) from error


class _Html(HTMLParser):
    """The text that is seen, a line per block."""

    hidden: Final = frozenset({"script", "style", "template", "noscript"})
    blocks: Final = frozenset(
        re.findall(r"\w+", "p div br li tr td th h1 h2 h3 h4 h5 h6 section article title pre")
    )

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._n_hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._n_hidden += tag in self.hidden
        self.parts += "\n" if tag in self.blocks else ""

    def handle_endtag(self, tag: str) -> None:
        self._n_hidden = max(0, self._n_hidden - (tag in self.hidden))
        self.parts += "\n" if tag in self.blocks else ""

    def handle_data(self, data: str) -> None:
        if not self._n_hidden:
            self.parts.append(data)


def _html(path: Path, name: str) -> Iterator[Document]:
    parser = _Html()
    parser.feed(_decoded(path))
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    yield Document(name, "\n".join(line for line in lines if line), name)


def _pdf(path: Path, name: str) -> Iterator[Document]:
    try:
        import pypdf
    except ImportError as error:
        raise MissingDependency("pypdf", "retrieval", "reading PDF") from error
    try:
        pages = [page.extract_text() for page in pypdf.PdfReader(path).pages]
    except Exception as error:  # whatever a damaged file makes a parser raise
        raise DataError(f"cannot be read as PDF: {error}", file=str(path)) from error
    yield Document(name, "\n".join(pages), name)


def _jsonl(path: Path, name: str) -> Iterator[Document]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"not JSON: {error}", file=str(path), row=number) from error
                yield _row(row, path, name, number)
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8 text", file=str(path)) from error


def _parquet(path: Path, name: str) -> Iterator[Document]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            wanted = [
                one for one in ("id", "text", "source", "url", "title") if one in file.schema_arrow.names
            ]
            for batch in file.iter_batches(1024, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield _row(row, path, name, number)
    except pyarrow.ArrowException as error:
        raise DataError(f"cannot be read as Parquet: {error}", file=str(path)) from error


def _row(row: Any, path: Path, name: str, number: int) -> Document:
    text = row.get("text") if isinstance(row, Mapping) else None
    if not isinstance(text, str):
        raise DataError("a text is needed", file=str(path), row=number, column="text")
    if len(text) > MAX_BYTES:
        raise DataError(f"larger than {MAX_BYTES >> 20} MiB: split it", file=str(path), row=number)
    id = row.get("id")
    source = next((str(row[key]) for key in ("source", "url", "title") if row.get(key)), "")
    return Document(f"{name}:{number}" if id is None else str(id), text, source)


_READERS: Final[Mapping[str, Callable[[Path, str], Iterator[Document]]]] = {
    ".txt": _text,
    ".md": _text,
    ".markdown": _text,
    ".html": _html,
    ".htm": _html,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    ".pdf": _pdf,
}
