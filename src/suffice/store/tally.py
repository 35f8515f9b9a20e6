"""A count beside the database of what this process was given, which outlives a kill.

The count is a mapped page of `DATABASE-tally-PID-TOKEN`: a store into it reaches the kernel at once, so it
survives `kill -9` although nothing was flushed. What was settled (committed, or given up and noted) stands
in the database itself, in the transaction that settled it. On the next start, the difference of the two
is exactly what the kill took. A lock on the file tells the dead from the living.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from suffice.store.base import Amount
from suffice.store.faults import translate_os

try:
    import fcntl

    _CAN_LOCK = True
except ImportError:  # pragma: no cover - Windows: the store works, kills are not counted
    _CAN_LOCK = False

_SIZE: Final = 4096
_MARK: Final = b"suffice tally 1\0"
_HEADER: Final = struct.Struct("@16s32s")
_COUNT: Final = struct.Struct("@4q")
_OFFSET: Final = 64
Mark = Callable[[int, int, int, int], None]
"""Takes the number of records and their pico-dollars, and both once more.

The words are written in their order. A kill in between leaves two numbers that differ, and then the second
pair is still the count before, whole; otherwise the first pair is the count of now.
"""


class Counter(Protocol):
    """Counts what was appended."""

    token: str
    mark: Mark
    """A plain callable, not a method: it is called for every request."""

    def close(self, *, is_settled: bool) -> None: ...


class NoTally:
    """For stores that a kill empties anyway, and where files cannot be locked."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self.mark: Mark = _ignore

    def close(self, *, is_settled: bool) -> None:
        """Has nothing to close."""


class Tally:
    """The count of one living process."""

    def __init__(self, database: str) -> None:
        """
        Raises
        ------
        StoreFull
            If the file cannot be made.
        """
        self.token = secrets.token_hex(16)
        self.path = Path(f"{database}-tally-{os.getpid()}-{self.token[:8]}")
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            self._file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # Real zeros, not a hole: a full disk must fail here and not at a store into the map.
            os.write(self._file, _HEADER.pack(_MARK, self.token.encode()).ljust(_SIZE, b"\0"))
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(fresh, self.path)  # only now can another process find it, and finds it locked
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise translate_os(error, str(self.path)) from error
        self._map = mmap.mmap(self._file, _SIZE)
        self.mark: Mark = partial(_COUNT.pack_into, self._map, _OFFSET)

    def close(self, *, is_settled: bool) -> None:
        """Let go; the file goes too, unless something is left for the next start to count."""
        self._map.close()
        os.close(self._file)
        if is_settled:
            self.path.unlink(missing_ok=True)


class Orphan:
    """The tally of a dead process, held so that nobody else settles it."""

    def __init__(self, path: Path, file: int, token: str, appended: Amount) -> None:
        self.path = path
        self.token = token
        self.appended = appended
        self._file = file

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        os.close(self._file)


def orphans(database: str) -> list[Orphan]:
    """The tallies beside `database` that no living process holds; unreadable ones are left alone."""
    if not _CAN_LOCK:  # pragma: no cover
        return []
    parent, name = Path(database).parent, Path(database).name
    paths = [path for path in parent.iterdir() if path.name.startswith(f"{name}-tally-")]
    return [orphan for path in sorted(paths) if (orphan := _held(path)) is not None]


def _held(path: Path) -> Orphan | None:
    if path.suffix == ".new":
        return None
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        content = os.pread(file, _SIZE, 0)
    except OSError:
        os.close(file)
        return None
    if len(content) < _SIZE or not content.startswith(_MARK):
        os.close(file)
        return None
    _, token = _HEADER.unpack_from(content)
    n, pico, n_again, pico_again = _COUNT.unpack_from(content, _OFFSET)
    appended = Amount(n, pico) if n == n_again else Amount(n_again, pico_again)
    return Orphan(path, file, token.decode(), appended)


def _ignore(n: int, pico: int, n_again: int, pico_again: int) -> None:
    """Counts nothing."""


def tally_for(database: str) -> Counter:
    """The tally of this process; one that counts nothing where files cannot be locked."""
    return Tally(database) if _CAN_LOCK else NoTally()
