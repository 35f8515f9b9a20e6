"""What was asked and answered, a line each, before anything else happens: a kill loses nothing.

Every call leaves a line before it is sent and one when it ends. A call without an end (the process was
killed) may have been billed: it counts with what answered calls cost on average for the most they can have
cost, and with that most where none was answered.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec

from suffice.errors import DataError
from suffice.types import TokenLogprob

_SYNC_S: Final = 1.0
_LEAST_USD: Final = Decimal("1e-9")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line."""

    event: Literal["asked", "answered", "failed"]
    call: str
    """Digest of all that the answer depends on."""
    usd: Decimal = Decimal(0)
    """Of "asked" the most that the call can cost; else what it counts as."""
    about: tuple[str, ...] | None = None
    """Digests of the people whose data the call holds; None: nobody has said."""
    answer: Answered | None = None
    error: str | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer as it is kept."""

    content: str
    cost_usd: Decimal | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None
    finish_reason: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Where they were asked for and given."""
    no_logprobs: str | None = None


_decode: Final = msgspec.json.Decoder(Entry).decode


class Journal:
    """An append-only file; one process at a time."""

    def __init__(self, path: Path) -> None:
        """
        Raises
        ------
        DataError
            If the file is in use, cannot be written, or is damaged elsewhere than at its end.
        """
        self.path = path
        self.answers: dict[str, Answered] = {}
        self.errors: dict[str, str] = {}
        """Why calls failed that have no answer yet."""
        self.spent_usd = Decimal(0)
        """Of all runs so far, with `unknown_usd`; calls under way at their ceiling."""
        self.unknown_usd = Decimal(0)
        """What the calls count as that earlier runs left without an end."""
        self.n_unknown = 0
        self._pending: dict[str, list[Decimal]] = defaultdict(list)
        self._answered_usd = self._ceilings_usd = Decimal(0)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise DataError(f"cannot be written: {error}", file=str(path)) from error
        try:
            self._lock()
            self._load()
        except BaseException:
            os.close(self._file)
            raise
        self._synced_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def asked(self, call: str, ceiling_usd: Decimal) -> None:
        self._append(Entry(event="asked", call=call, usd=ceiling_usd))

    def answered(
        self, call: str, answer: Answered, usd: Decimal, about: tuple[str, ...] | None = None
    ) -> None:
        self._append(Entry(event="answered", call=call, usd=usd, about=about, answer=answer))

    def failed(self, call: str, error: str, usd: Decimal, about: tuple[str, ...] | None = None) -> None:
        self._append(Entry(event="failed", call=call, usd=usd, about=about, error=error))

    def _append(self, entry: Entry) -> None:
        line = memoryview(msgspec.json.encode(entry) + b"\n")
        try:
            while line:
                line = line[os.write(self._file, line) :]
            if time.monotonic() - self._synced_at > _SYNC_S:
                os.fsync(self._file)
                self._synced_at = time.monotonic()
        except OSError as error:
            raise DataError(f"cannot be written: {error}", file=str(self.path)) from error
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        if entry.event == "asked":
            self._pending[entry.call].append(entry.usd)
            self.spent_usd += entry.usd
            return
        waiting = self._pending[entry.call]
        ceiling = waiting.pop() if waiting else Decimal(0)
        self.spent_usd += entry.usd - ceiling
        if entry.answer is not None and ceiling:
            self._answered_usd += entry.usd
            self._ceilings_usd += ceiling
        if entry.answer is not None:
            self.answers[entry.call] = entry.answer
            self.errors.pop(entry.call, None)
        elif entry.call not in self.answers:
            self.errors[entry.call] = entry.error or "failed"

    def _load(self) -> None:
        """Read what is there, and cut off a last line that was not finished."""
        with open(self._file, "rb", closefd=False) as stream:
            stream.seek(0)
            data = stream.read()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            os.ftruncate(self._file, end)
        for number, line in enumerate(data[:end].splitlines(), 1):
            try:
                self._take(_decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise DataError(
                    f"no line of a journal: {error}; move the file away to start anew",
                    file=str(self.path), row=number,
                ) from error  # fmt: skip

        self._settle_unknown()

    def _settle_unknown(self) -> None:
        """Calls that a killed run left: at a fair price, and the most they can have cost given back."""
        left = [ceiling for waiting in self._pending.values() for ceiling in waiting]
        most = sum(left, Decimal(0))
        share = self._answered_usd / self._ceilings_usd if self._ceilings_usd else Decimal(1)
        if left:
            self.n_unknown, self.unknown_usd = len(left), (most * min(share, Decimal(1))).quantize(_LEAST_USD)
        self.spent_usd += self.unknown_usd - most
        self._pending.clear()

    def _lock(self) -> None:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DataError(
                    "is in use: another `suffice` command is writing it", file=str(self.path)
                ) from error


def forget(path: Path, person: str) -> bool:
    """Take what was said about one person out of a journal; what was paid stays counted.

    Answers of which nobody has said whom they are about go too. Of the calls one line is left: their sum.

    Parameters
    ----------
    person : the digest under which calls are marked

    Returns
    -------
    whether anything went

    Raises
    ------
    DataError
        As of `Journal`, or if the file is none.
    """
    with Journal(path):  # nobody else writes it, and its last line is whole
        kept: list[bytes] = []
        usd, gone = Decimal(0), set[str]()
        lines = path.read_bytes().splitlines(keepends=True)
        entries = [_decode(line) for line in lines]
        for entry in entries:
            is_nobodys = entry.about is None and entry.answer is not None
            if is_nobodys or person in (entry.about or ()):
                gone.add(entry.call)
        for line, entry in zip(lines, entries, strict=True):
            if entry.call not in gone:
                kept.append(line)
            elif entry.event != "asked":
                usd += entry.usd
        if not gone:
            return False
        kept.append(msgspec.json.encode(Entry(event="failed", call="", usd=usd, error="forgotten")) + b"\n")
        scratch = path.with_name(f".part-{path.name}")
        try:
            scratch.write_bytes(b"".join(kept))
            os.replace(scratch, path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise DataError(f"cannot be written: {error}", file=str(path)) from error
    return True


def call_id(*parts: Any) -> str:
    """A digest of JSON-able parts."""
    from hashlib import blake2b

    return blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=12).hexdigest()
