"""`Row`: one training record, the same from the first stage to the last; files of them are JSON lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice.errors import DataError
from suffice.types import Query, TokenLogprob

ROWS: Final = "rows.jsonl"
"""The file of a stage that gives rows."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS: Final = (TRAIN, VALIDATION, TEST)
FAULT: Final = "fault"
"""In `meta`, of a row without any usable answer: why. Not learnt from; held, the teacher is wrong."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of the teacher."""

    text: str
    reasoning: str | None = None
    """What came before the answer, where the teacher thinks aloud."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """With the likeliest tokens of each place, where they were asked for and given."""
    finish: str | None = None
    cost_usd: Decimal | None = None
    latency_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One query and what the teacher made of it."""

    id: str
    query: str
    """The text of the last user message: what students and embedders read."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """The whole chat, where there was more than `query`."""
    task: str | None = None
    subject: str | None = None
    """Whose data it is: with `suffice distill forget` all of it goes."""
    expires_at: float | None = None
    """Unix seconds after which it may not be kept."""
    reference: str | None = None
    """The gold answer, where there is one. Never trained on unless the project says so."""
    teacher: str = ""
    samples: tuple[Sample, ...] = ()
    label: str | None = None
    """What the student is to say, chosen from the samples by vote, verifier or judge."""
    score: float | None = None
    """How good `label` is, in [0, 1], as `judged_by` says; None: nobody could tell."""
    judged_by: str | None = None
    """"metric:NAME", "judge:MODEL", "agreement", or "fault" where no answer was usable."""
    cluster: str | None = None
    """Rows that say nearly the same share one; never in two parts."""
    part: str | None = None
    """"train", "validation" or "test"."""
    meta: Mapping[str, Any] = {}

    def asked(self) -> Query:
        """As it goes to a model."""
        return Query(text=self.query, messages=self.messages, id=self.id, task=self.task, user=self.subject)


_decode: Final = msgspec.json.Decoder(Row).decode
_encode: Final = msgspec.json.Encoder().encode


def iterate_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, one at a time.

    Raises
    ------
    DataError
        If the file cannot be read, or with its number for a line that is no row.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, path, number)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from error


def _row(line: bytes, path: Path, number: int) -> Row:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"no training record: {error}", file=str(path), row=number) from error


def read_rows(path: Path) -> list[Row]:
    """As `iterate_rows`; ids must differ."""
    found = list(iterate_rows(path))
    seen: set[str] = set()
    for number, row in enumerate(found, 1):
        if row.id in seen:
            raise DataError(f"the id {row.id!r} stands twice", file=str(path), row=number, column="id")
        seen.add(row.id)
    return found


def write_rows(rows: Iterable[Row], path: Path) -> int:
    """All rows or no file; how many.

    Raises
    ------
    DataError
        If the file cannot be written, as on a full disk.
    """
    return write_lines(rows, path)


def write_lines(values: Iterable[Any], path: Path) -> int:
    """JSON lines of anything that msgspec can encode; the whole file or none of it."""
    scratch, n = path.with_name(f".part-{path.name}"), 0
    try:
        with scratch.open("wb") as file:
            for value in values:
                file.write(_encode(value) + b"\n")
                n += 1
        os.replace(scratch, path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise DataError(f"cannot be written: {error.strerror}", file=str(path)) from error
    return n
