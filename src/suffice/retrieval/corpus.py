"""Documents, their passages and the full-text index over them, in one SQLite file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from suffice.errors import DataError, StoreCorrupt, StoreError, StoreLocked
from suffice.retrieval.chunking import check_sizes, chunks
from suffice.retrieval.words import words
from suffice.types import Passage

APPLICATION_ID: Final = 0x53554650
"""Kept in the file's header, so that nobody takes it for a store or a cache."""
_VERSION: Final = "1"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS passages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, position INTEGER NOT NULL,
    text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS passages_of ON passages (document);
CREATE TABLE IF NOT EXISTS vectors (passage INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS terms USING fts5(text, content='', tokenize='ascii');
CREATE VIRTUAL TABLE IF NOT EXISTS vocabulary USING fts5vocab(terms, 'row');
"""
_TABLES: Final = {"meta", "documents", "passages", "terms"}
"""What a corpus is known by that was written before its header said so."""
_PASSAGES: Final = (
    "SELECT passages.number, documents.id || '#' || passages.position, passages.text, documents.source "
    "FROM passages JOIN documents ON documents.number = passages.document"
)
_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Document(NamedTuple):
    """What is put into a corpus."""

    id: str
    text: str
    source: str = ""
    """Where it comes from, for citations; the id where empty."""


class Added(NamedTuple):
    """What came of adding documents."""

    n_new: int
    n_changed: int
    n_unchanged: int
    n_passages: int
    """Passages written."""


class Listed(NamedTuple):
    """A document as it stands in the corpus."""

    id: str
    source: str
    n_passages: int


class Corpus:
    """Durable and incremental: a document that is added again replaces what it was.

    Several threads may share one; several processes may open the same file. A file that is put in its place
    is opened at the next look.
    """

    def __init__(self, path: str | Path, *, size: int = 200, overlap: int = 40) -> None:
        """
        Parameters
        ----------
        path : the file, made if missing, or ":memory:"
        size, overlap : of passages, in words; see `chunks`

        Raises
        ------
        StoreError
            If the file cannot be opened or is another program's; StoreCorrupt and StoreLocked say why.
        """
        check_sizes(size, overlap)
        self.path, self.size, self.overlap = str(path), size, overlap
        self._lock = threading.RLock()
        self._n_opened = 0
        self._open()

    def _open(self) -> None:
        with self._translated():
            connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, self.path)
            except BaseException:
                connection.close()
                raise
        self._connection, self._file = connection, _identity(self.path)
        self._n_opened += 1

    def _follow(self) -> None:
        """Open the file anew where another stands in its place, but never inside a transaction."""
        found = _identity(self.path)
        if found == self._file or self._connection.in_transaction:
            return
        if found is None:
            raise StoreError(f"{self.path}: the corpus is gone; add its documents again, or put it back")
        self._file = None
        self._connection.close()
        self._open()

    def add(self, documents: Iterable[Document], report: Callable[[int], None] | None = None) -> Added:
        """Add or replace documents, all or none of them.

        Parameters
        ----------
        report : told the number of documents so far

        Raises
        ------
        DataError
            If two of them have one id, or one has none.
        """
        counts = [0, 0, 0, 0]
        seen: set[str] = set()
        with self.writing() as connection:
            for document in documents:
                if not document.id or document.id in seen:
                    what = "twice among what is added" if document.id else "empty"
                    raise DataError(f"the document id {document.id!r} is {what}; ids must be unique")
                seen.add(document.id)
                kind, n_passages = self._put(connection, document)
                counts[kind] += 1
                counts[3] += n_passages
                if report is not None:
                    report(len(seen))
            if counts[0] or counts[1]:
                self._changed()
        return Added(*counts)

    def _put(self, connection: sqlite3.Connection, document: Document) -> tuple[int, int]:
        """0 new, 1 changed, 2 unchanged; and how many passages were written."""
        id, text, source = (one.encode(errors="replace").decode() for one in document)
        settings = f"{self.size},{self.overlap},{source}\n"
        digest = hashlib.blake2b((settings + text).encode(), digest_size=16).digest()
        old = connection.execute("SELECT number, digest FROM documents WHERE id = ?", (id,)).fetchone()
        if old is not None and old[1] == digest:
            return 2, 0
        if old is not None:
            self._drop(connection, old[0])
        number = connection.execute(
            "INSERT INTO documents (id, source, digest) VALUES (?, ?, ?)", (id, source or id, digest)
        ).lastrowid
        n_passages = 0
        for passage in chunks(text, size=self.size, overlap=self.overlap):
            row = connection.execute(
                "INSERT INTO passages (document, position, text) VALUES (?, ?, ?)",
                (number, n_passages, passage),
            ).lastrowid
            connection.execute(
                "INSERT INTO terms (rowid, text) VALUES (?, ?)", (row, " ".join(words(passage)))
            )
            n_passages += 1
        return int(old is not None), n_passages

    def _drop(self, connection: sqlite3.Connection, document: int) -> None:
        rows = connection.execute(
            "SELECT number, text FROM passages WHERE document = ?", (document,)
        ).fetchall()
        gone = [(number, " ".join(words(text))) for number, text in rows]
        # an index without content is told what stood in it
        connection.executemany("INSERT INTO terms (terms, rowid, text) VALUES ('delete', ?, ?)", gone)
        connection.executemany("DELETE FROM vectors WHERE passage = ?", [(number,) for number, _ in rows])
        connection.execute("DELETE FROM passages WHERE document = ?", (document,))
        connection.execute("DELETE FROM documents WHERE number = ?", (document,))

    def remove(self, ids: Iterable[str]) -> int:
        """How many of these documents there were; they are found no more."""
        n_removed = 0
        with self.writing() as connection:
            for id in ids:
                row = connection.execute("SELECT number FROM documents WHERE id = ?", (id,)).fetchone()
                if row is not None:
                    self._drop(connection, row[0])
                    n_removed += 1
            if n_removed:
                self._changed()
        return n_removed

    def documents(self) -> list[Listed]:
        """In the order they were added."""
        rows = self.rows(
            "SELECT documents.id, source, count(passages.number) FROM documents LEFT JOIN passages "
            "ON passages.document = documents.number GROUP BY documents.number ORDER BY documents.number"
        )
        return [Listed(*row) for row in rows]

    def passages(self) -> list[tuple[int, str]]:
        """(number, text) of all; the numbers are never used again."""
        return [(int(number), str(text)) for number, text in self.rows("SELECT number, text FROM passages")]

    def revision(self) -> tuple[int, int]:
        """Another one whenever passages are added or removed, by this process or another, or all replaced."""
        with self._lock:
            n_changes = int(self.meta("revision") or 0)
            return self._n_opened, n_changes

    def _changed(self) -> None:
        """Inside the transaction that changes passages."""
        self.set_meta("revision", str(self.revision()[1] + 1))

    def found(self, scores: dict[int, float]) -> list[Passage]:
        """The passages of these numbers with their scores, in that order; removed ones are left out."""
        marks = ",".join("?" * len(scores))
        rows = self.rows(f"{_PASSAGES} WHERE passages.number IN ({marks})", tuple(scores))
        by_number = {row[0]: row[1:] for row in rows}
        return [
            Passage(id=one[0], text=one[1], source=one[2], score=score)
            for number, score in scores.items()
            if (one := by_number.get(number)) is not None
        ]

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """What one statement reads."""
        with self._lock, self._translated():
            self._follow()
            return self._connection.execute(sql, values).fetchall()

    def meta(self, name: str) -> str | None:
        """A setting of the file."""
        rows = self.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_meta(self, name: str, value: str) -> None:
        """Keep a setting of the file."""
        with self._lock, self._translated():
            self._follow()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing."""
        with self._lock, self._translated():
            self._follow()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
                # an empty log: SQLite would play a full one into whatever file is put in this one's place
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Use it no more."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _CORRUPT:
                said = "the index is damaged or not a corpus; move it aside and add the documents again"
                raise StoreCorrupt(f"{self.path}: {error}: {said}") from error
            if code in _LOCKED:
                said = "another process is writing to it; try again when that is done"
                raise StoreLocked(f"{self.path}: {error}: {said}") from error
            raise StoreError(f"{self.path}: {error}") from error


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Settings and schema, in a file that is new or a corpus."""
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if owner != APPLICATION_ID and (owner or tables) and not (owner == 0 and tables >= _TABLES):
        raise StoreError(f"{path}: a database of something else; a corpus wants a file of its own")
    if not owner and not tables:  # first of all: whoever opens it meanwhile finds it half made, but ours
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_SCHEMA)
    row = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    if row is None:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (_VERSION,))
    elif row[0] != _VERSION:
        raise StoreError(
            f"{path}: a corpus of version {row[0]}, this reads {_VERSION}; add its documents to a new file"
        )


def _identity(path: str) -> tuple[int, int] | None:
    """Which file stands there; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
