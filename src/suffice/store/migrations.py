"""The schema, as small steps that are applied once each and never edited."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Final

from suffice.errors import StoreError
from suffice.store.ledger_rows import TABLES

APPLICATION_ID: Final = 0x53554646
"""Stands in the header of our files ("SUFF")."""


def m001_records(connection: sqlite3.Connection) -> None:
    """Records: the columns that are filtered or summed first, so that sums skip the rest."""
    connection.execute(
        """
        CREATE TABLE records (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            created_at REAL NOT NULL,
            tenant TEXT NOT NULL,
            key_id TEXT NOT NULL,
            user_id TEXT NOT NULL,
            candidate TEXT NOT NULL,
            status INTEGER NOT NULL,
            cost_pico INTEGER,
            baseline_pico INTEGER,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            payload BLOB NOT NULL
        )
        """
    )
    connection.execute("CREATE INDEX records_created_at ON records (created_at)")


def m002_feedback(connection: sqlite3.Connection) -> None:
    """Feedback, append-only; the latest of a (record, name) counts."""
    connection.execute(
        """
        CREATE TABLE feedback (
            seq INTEGER PRIMARY KEY,
            record_id TEXT NOT NULL,
            tenant TEXT NOT NULL,
            name TEXT NOT NULL,
            value REAL NOT NULL,
            comment TEXT,
            created_at REAL NOT NULL
        )
        """
    )
    connection.execute("CREATE INDEX feedback_record ON feedback (record_id, name)")
    connection.execute(
        """
        CREATE VIEW latest_feedback AS
        SELECT * FROM feedback WHERE seq IN (SELECT max(seq) FROM feedback GROUP BY record_id, name)
        """
    )


def m003_keys(connection: sqlite3.Connection) -> None:
    """Keys, by the digest of their secret."""
    connection.execute(
        """
        CREATE TABLE keys (
            id TEXT PRIMARY KEY,
            digest BLOB NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            prefix TEXT NOT NULL,
            created_at REAL NOT NULL,
            is_admin INTEGER NOT NULL,
            keep_content INTEGER NOT NULL,
            revoked_at REAL,
            name TEXT NOT NULL
        )
        """
    )


def m004_losses(connection: sqlite3.Connection) -> None:
    """What every live writer has settled, and what was lost, when and why."""
    connection.execute(
        """
        CREATE TABLE writers (
            token TEXT PRIMARY KEY,
            n_settled INTEGER NOT NULL,
            pico_settled TEXT NOT NULL
        )
        """
    )
    connection.execute(
        """
        CREATE TABLE losses (
            seq INTEGER PRIMARY KEY,
            noticed_at REAL NOT NULL,
            reason TEXT NOT NULL,
            n_records INTEGER NOT NULL,
            cost_pico INTEGER NOT NULL
        )
        """
    )


def m005_budgets(connection: sqlite3.Connection) -> None:
    """The ledger: use by account and period, reservations, and budgets that were set at run time."""
    for statement in TABLES:
        connection.execute(statement.format(bytes="BLOB", tail=" WITHOUT ROWID"))


def m006_experiments(connection: sqlite3.Connection) -> None:
    """Experiments, how far each has read, and the sums of their units."""
    connection.execute(
        """
        CREATE TABLE experiments (
            seq INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            is_running INTEGER NOT NULL,
            settings TEXT NOT NULL,
            progress TEXT NOT NULL,
            records_seq INTEGER NOT NULL,
            feedback_seq INTEGER NOT NULL
        )
        """
    )
    connection.execute(
        """
        CREATE TABLE experiment_units (
            experiment TEXT NOT NULL,
            unit TEXT NOT NULL,
            sums TEXT NOT NULL,
            PRIMARY KEY (experiment, unit)
        ) WITHOUT ROWID
        """
    )


def m007_training_consents(connection: sqlite3.Connection) -> None:
    """Keys whose records may become training data, and from when on."""
    connection.execute(
        """
        CREATE TABLE training_consents (
            key_id TEXT PRIMARY KEY,
            since REAL NOT NULL
        ) WITHOUT ROWID
        """
    )


MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    m001_records,
    m002_feedback,
    m003_keys,
    m004_losses,
    m005_budgets,
    m006_experiments,
    m007_training_consents,
)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the database to this version; does nothing, and takes no lock, where it is there already.

    Raises
    ------
    StoreError
        If the file belongs to another program or to a newer version of this one.
    """
    known = {step.__name__ for step in MIGRATIONS}
    if known <= _applied(connection, path, known):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at REAL NOT NULL)"
        )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        applied = _applied(connection, path, known)
        for step in MIGRATIONS:
            if step.__name__ not in applied:
                step(connection)
                connection.execute("INSERT INTO migrations VALUES (?, ?)", (step.__name__, time.time()))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _applied(connection: sqlite3.Connection, path: str, known: set[str]) -> set[str]:
    """The names of the steps that the database has, after a check that it is ours."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return set()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID or "migrations" not in tables:
        raise StoreError(
            f"{path} is an SQLite database of another program; "
            "give the store a file of its own (store: in suffice.yaml)"
        )
    applied = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    newer = sorted(applied - known)
    if newer:
        raise StoreError(
            f"{path} was written by a newer version of suffice ({newer[0]} is unknown here); "
            "upgrade suffice, or open another store"
        )
    return applied
