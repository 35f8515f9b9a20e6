"""Experiments in the store: what was started, how far it is, and what of the traffic belongs to it.

How far an experiment is is computed from records and feedback as they were committed, in one transaction with
the place where it stopped reading. So whichever process looks first does the work, all see the same, and a
restart goes on where the last look ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from suffice.errors import InvalidRequest, NotFound
from suffice.experiments import DIFFERENCE, Experiment, Judged, Progress, Seen, Sums, advance, settle
from suffice.store.connection import Readers, SharedReader
from suffice.store.writer import Writer
from suffice.types import Trial

T = TypeVar("T")
MOST_AT_ONCE: Final = 20_000
"""Records that one look reads at most."""
_LIVE: Final = ("running", "promoted")


class _Slim(msgspec.Struct):
    """Of a record, what an experiment needs."""

    trial: Trial | None = None
    cost_usd: Decimal | None = None
    latency_s: float = 0.0
    status: int = 200


_slim: Final = msgspec.msgpack.Decoder(_Slim)
_settings: Final = msgspec.json.Decoder(Experiment)
_progress: Final = msgspec.json.Decoder(Progress)
_sums: Final = msgspec.json.Decoder(Sums)


class Standing(NamedTuple):
    """An experiment and how far it is."""

    experiment: Experiment
    progress: Progress


class SqliteExperiments:
    """All methods block; only `look` and those that change something take the database's write lock."""

    def __init__(self, writer: Writer, readers: Readers | SharedReader) -> None:
        self._writer, self._readers = writer, readers

    def start(self, experiment: Experiment, now: float) -> None:
        """Count from now on; running gateways notice within a second or two.

        Raises
        ------
        InvalidRequest
            If the name was used, or what it would split is split already.
        """
        self._write(lambda on: _start(on, experiment, now))

    def stop(self, name: str, now: float) -> Standing:
        """End it: all traffic is the control's again, also that of one that was promoted.

        Raises
        ------
        NotFound
            If there is none of that name.
        """
        return self._write(lambda on: _stop(on, name, now))

    def look(self, now: float) -> list[Standing]:
        """Take up what is new; those that split traffic now: running, or promoted."""
        with self._readers.reading() as connection:
            if not _found(connection, "WHERE is_running"):
                return []
        return self._write(lambda on: _look(on, now), durable=False)

    def all(self) -> list[Standing]:
        """Every experiment, oldest first, as of the last look."""
        with self._readers.reading() as connection:
            return _found(connection, "")

    def _write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        done: T = self._writer.submit(work, durable=durable).result()
        return done


def _found(connection: sqlite3.Connection, where: str, values: tuple[Any, ...] = ()) -> list[Standing]:
    rows = connection.execute(f"SELECT settings, progress FROM experiments {where} ORDER BY seq", values)
    return [Standing(_settings.decode(settings), _progress.decode(progress)) for settings, progress in rows]


def _start(connection: sqlite3.Connection, experiment: Experiment, now: float) -> None:
    if _found(connection, "WHERE name = ?", (experiment.name,)):
        raise InvalidRequest(
            f"there was an experiment {experiment.name!r} before; its results are kept: choose another name"
        )
    for other, _ in _found(connection, "WHERE is_running"):
        if other.control == experiment.control:
            raise InvalidRequest(
                f"the experiment {other.name!r} already splits {other.control!r}: stop it first"
            )
    connection.execute(
        "INSERT INTO experiments (name, is_running, settings, progress, records_seq, feedback_seq) "
        "VALUES (?, 1, ?, ?, (SELECT ifnull(max(seq), 0) FROM records), "
        "(SELECT ifnull(max(seq), 0) FROM feedback))",
        (experiment.name, _text(experiment), _text(Progress(started_at=now))),
    )


def _stop(connection: sqlite3.Connection, name: str, now: float) -> Standing:
    _look(connection, now)
    found = _found(connection, "WHERE name = ?", (name,))
    if not found:
        raise NotFound(f"there is no experiment {name!r}; `suffice experiment status` lists those there are")
    experiment, progress = found[0]
    if progress.status in _LIVE:
        before = "" if progress.is_running else f", after it was promoted: {progress.why}"
        progress.status, progress.why, progress.ended_at = "stopped", f"by hand{before}", now
    connection.execute(
        "UPDATE experiments SET is_running = 0, progress = ? WHERE name = ?", (_text(progress), name)
    )
    connection.execute("DELETE FROM experiment_units WHERE experiment = ?", (name,))
    return Standing(experiment, progress)


def _look(connection: sqlite3.Connection, now: float) -> list[Standing]:
    standing = _found(connection, "WHERE is_running")
    for experiment, progress in standing:
        if progress.is_running:
            _advance(connection, experiment, progress, now)
    return [one for one in standing if one.progress.status in _LIVE]


def _advance(connection: sqlite3.Connection, experiment: Experiment, progress: Progress, now: float) -> None:
    name = experiment.name
    records_from, feedback_from, records_to, feedback_to = connection.execute(
        "SELECT records_seq, feedback_seq, (SELECT ifnull(max(seq), 0) FROM records), "
        "(SELECT ifnull(max(seq), 0) FROM feedback) FROM experiments WHERE name = ?",
        (name,),
    ).fetchone()
    records_to = min(records_to, records_from + MOST_AT_ONCE)
    feedback_to = min(feedback_to, feedback_from + MOST_AT_ONCE)
    if (records_from, feedback_from) == (records_to, feedback_to):
        return
    seen = _seen(connection, name, records_from, records_to)
    judged = _judged(connection, experiment, feedback_from, feedback_to)
    ids = dict.fromkeys([row.trial.unit for row in seen] + [word.trial.unit for word in judged])
    units = {unit: sums for unit in ids if (sums := _unit(connection, name, unit)) is not None}
    advance(experiment, progress, seen, judged, units)
    settle(experiment, progress, now)
    connection.execute(
        "UPDATE experiments SET progress = ?, records_seq = ?, feedback_seq = ?, is_running = ? "
        "WHERE name = ?",
        (_text(progress), records_to, feedback_to, progress.status in _LIVE, name),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO experiment_units VALUES (?, ?, ?)",
        [(name, unit, _text(sums)) for unit, sums in units.items()],
    )
    if not progress.is_running:
        connection.execute("DELETE FROM experiment_units WHERE experiment = ?", (name,))


def _seen(connection: sqlite3.Connection, name: str, after: int, until: int) -> list[Seen]:
    rows = connection.execute(
        "SELECT payload FROM records WHERE seq > ? AND seq <= ? AND instr(payload, ?) ORDER BY seq",
        (after, until, name.encode()),
    ).fetchall()
    found = []
    for (payload,) in rows:
        slim = _slim.decode(payload)
        if slim.trial is None or slim.trial.experiment != name:
            continue
        cost = slim.cost_usd
        if slim.trial.of is not None:
            cost = _more(cost, _cost(connection, slim.trial.of))
        usd = None if cost is None else float(cost)
        found.append(Seen(slim.trial, usd, slim.latency_s, slim.status))
    return found


def _judged(connection: sqlite3.Connection, experiment: Experiment, after: int, until: int) -> list[Judged]:
    """The first feedback of that name on each record: who changes his word changes no result."""
    is_shadow = experiment.kind == "shadow"
    rows = connection.execute(
        "SELECT f.value, r.payload FROM feedback f JOIN records r ON r.id = f.record_id "
        "WHERE f.seq > ? AND f.seq <= ? AND f.name = ? AND instr(r.payload, ?) AND NOT EXISTS "
        "(SELECT 1 FROM feedback g WHERE g.record_id = f.record_id AND g.name = f.name AND g.seq < f.seq) "
        "ORDER BY f.seq",
        (after, until, DIFFERENCE if is_shadow else experiment.metric, experiment.name.encode()),
    ).fetchall()
    words = [(value, _slim.decode(payload).trial) for value, payload in rows]
    return [
        Judged(trial, value)
        for value, trial in words
        if trial is not None and trial.experiment == experiment.name and is_shadow == (trial.of is not None)
    ]


def _cost(connection: sqlite3.Connection, record_id: str) -> Decimal | None:
    found = connection.execute("SELECT payload FROM records WHERE id = ?", (record_id,)).fetchone()
    return None if found is None else _slim.decode(found[0]).cost_usd


def _more(cost: Decimal | None, than: Decimal | None) -> Decimal | None:
    return None if cost is None or than is None else cost - than


def _unit(connection: sqlite3.Connection, name: str, unit: str) -> Sums | None:
    found = connection.execute(
        "SELECT sums FROM experiment_units WHERE experiment = ? AND unit = ?", (name, unit)
    ).fetchone()
    return None if found is None else _sums.decode(found[0])


def _text(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()
