"""SQLite's error codes as errors that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from suffice.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOLFS}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise the StoreError that stands for an sqlite3 error of the database at `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """The StoreError for one sqlite3 error."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    said = f"{path}: {error}"
    if primary in _LOCKED:
        return StoreLocked(
            f"{said}: another process keeps it locked; end it, or wait and try again "
            "(suffice processes share a store without this)"
        )
    if primary in _CORRUPT:
        return StoreCorrupt(
            f"{said}: the file is damaged or not an SQLite database; move it aside with its -wal and -shm "
            f"files, then restore a backup or run: sqlite3 {path} .recover | sqlite3 recovered.db"
        )
    if primary in _UNWRITABLE:
        return StoreFull(f"{said}: it cannot be opened for writing; check the folder's permissions and mount")
    if primary in _FULL:
        return StoreFull(f"{said}: it cannot be written; free disk space or move the store to a larger disk")
    return StoreError(said)


def translate_os(error: OSError, path: str) -> StoreError:
    """The StoreError for a file beside the database that cannot be made."""
    return StoreFull(
        f"{path}: {error.strerror or error}: files cannot be written there; "
        "check the folder's permissions and free space"
    )
