"""What processes that were killed took with them, counted by the next one to start."""

from __future__ import annotations

import logging
import sqlite3

from suffice.store.base import LARGEST, Amount, usd_text
from suffice.store.faults import translated
from suffice.store.sink import note_loss
from suffice.store.tally import Orphan, orphans

_log = logging.getLogger(__name__)


def settle_orphans(connection: sqlite3.Connection, path: str) -> None:
    """Note the losses of every dead process, once, and remove its tally.

    A process has its row among the writers from before its first record until it is settled; a tally
    without a row was settled already, by a start that was itself killed before it removed the file.
    """
    for orphan in orphans(path):
        try:
            with translated(path):
                _settle(connection, orphan, path)
        except BaseException:
            orphan.release()
            raise
        orphan.remove()


def _settle(connection: sqlite3.Connection, orphan: Orphan, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = connection.execute(
            "SELECT n_settled, pico_settled FROM writers WHERE token = ?", (orphan.token,)
        ).fetchone()
        lost = Amount() if row is None else _difference(orphan.appended, Amount(row[0], int(row[1])))
        if lost.n:
            note_loss(connection, "killed", lost)
        connection.execute("DELETE FROM writers WHERE token = ?", (orphan.token,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if lost.n:
        _log.warning(
            "%s: %d records (%s USD) were lost when a process was killed", path, lost.n, usd_text(lost.pico)
        )


def _difference(appended: Amount, settled: Amount) -> Amount:
    return Amount(appended.n - settled.n, (appended.pico - settled.pico) & LARGEST)
