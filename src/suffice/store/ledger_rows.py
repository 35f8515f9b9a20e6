"""The rows of a ledger in SQL: what a batch of operations needs is loaded, applied, and saved.

SQLite and PostgreSQL share this, down to the statements; they differ in the mark of a bound value, in how a
transaction excludes others, and in the clock that leases run on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from suffice.budgets.ledger import Book, Claim, Hold, Operation, Outcome, Reserve, Settle, Use
from suffice.budgets.limits import Budget

Row = tuple[Any, ...]
T = TypeVar("T")
_AT_ONCE: Final = 400
"""Values bound in one statement."""
_KEEP_S: Final = 86400.0
"""How long what counts no more is kept, for clocks that jump and processes that are late."""
_claims: Final = msgspec.msgpack.Decoder(tuple[Claim, ...])
_budget: Final = msgspec.json.Decoder(Budget)
_encode: Final = msgspec.msgpack.encode

TABLES: Final = (
    """
    CREATE TABLE budget_use (
        account TEXT NOT NULL,
        period BIGINT NOT NULL,
        spent BIGINT NOT NULL,
        reserved BIGINT NOT NULL,
        lost BIGINT NOT NULL,
        PRIMARY KEY (account, period)
    ){tail}
    """,
    """
    CREATE TABLE budget_holds (
        id TEXT PRIMARY KEY,
        claims {bytes} NOT NULL,
        boot TEXT NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL,
        is_expired INTEGER NOT NULL
    ){tail}
    """,
    "CREATE TABLE budgets (name TEXT PRIMARY KEY, settings TEXT NOT NULL)",
)
"""With the name of the type of byte strings, and what may follow a table, left open."""


class Rows:
    """The tables, through whoever runs a statement with its values."""

    def __init__(
        self,
        execute: Callable[[str, Sequence[Any]], Iterable[Row]],
        execute_many: Callable[[str, Sequence[Row]], object],
        *,
        mark: str = "?",
        boot: str = "",
    ) -> None:
        """
        Parameters
        ----------
        mark : of a bound value
        boot : names the clock of the leases: one that ran on another clock has ended
        """
        self._execute, self._execute_many = execute, execute_many
        self._mark, self._boot = mark, boot

    def apply(self, operations: Sequence[Operation], now: float, *, looks_at_leases: bool) -> list[Outcome]:
        """The whole batch; the caller holds a transaction that excludes all others.

        Parameters
        ----------
        now : on the clock of the leases
        """
        book = Book()
        expired = self._expired(now) if looks_at_leases else []
        settled = [operation.id for operation in operations if isinstance(operation, Settle)]
        for hold_id, hold in self._holds(dict.fromkeys([*expired, *settled])):
            book.holds[hold_id] = hold
        self._load_uses(book, operations)
        for hold_id in expired:
            book.expire(hold_id)
        outcomes = [book.apply(operation, now) for operation in operations]
        self._save(book)
        if looks_at_leases:
            self._tidy(book, now)
        return outcomes

    def uses(self) -> dict[tuple[str, int], Use]:
        found = self._execute("SELECT account, period, spent, reserved, lost FROM budget_use", ())
        return {(account, period): Use(*amounts) for account, period, *amounts in found}

    def budgets(self) -> list[Budget]:
        return [
            _budget.decode(row[0]) for row in self._execute("SELECT settings FROM budgets ORDER BY name", ())
        ]

    def set_budget(self, budget: Budget) -> None:
        self._many(
            "INSERT INTO budgets (name, settings) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET settings = excluded.settings",
            [(budget.name, msgspec.json.encode(budget).decode())],
        )

    def clear_budget(self, name: str) -> bool:
        found = self._some("DELETE FROM budgets WHERE name = ? RETURNING name", (name,))
        return bool(list(found))

    def _expired(self, now: float) -> list[str]:
        found = self._some(
            "SELECT id FROM budget_holds WHERE is_expired = 0 AND (expires_at < ? OR boot <> ?)",
            (now, self._boot),
        )
        return [row[0] for row in found]

    def _holds(self, ids: Iterable[str]) -> Iterator[tuple[str, Hold]]:
        for some in _parts(ids):
            found = self._some(
                f"SELECT id, claims, expires_at, is_expired FROM budget_holds WHERE id IN ({_marks(some)})",
                some,
            )
            for hold_id, claims, expires_at, is_expired in found:
                yield hold_id, Hold(_claims.decode(claims), expires_at, bool(is_expired))

    def _load_uses(self, book: Book, operations: Sequence[Operation]) -> None:
        """Per span of time, one statement for all accounts."""
        spans: dict[tuple[int, int], set[str]] = {}
        for operation in operations:
            if isinstance(operation, Reserve):
                for claim in operation.claims:
                    spans.setdefault((claim.since, claim.until), set()).add(claim.account)
        for hold in book.holds.values():
            for claim in hold.claims:
                spans.setdefault((claim.period, claim.period), set()).add(claim.account)
        for (since, until), accounts in spans.items():
            for some in _parts(sorted(accounts)):
                found = self._some(
                    "SELECT account, period, spent, reserved, lost FROM budget_use "
                    f"WHERE account IN ({_marks(some)}) AND period BETWEEN ? AND ?",
                    (*some, since, until),
                )
                for account, period, *amounts in found:
                    book.put(account, period, Use(*amounts))

    def _save(self, book: Book) -> None:
        if book.changed:
            self._many(
                "INSERT INTO budget_use (account, period, spent, reserved, lost) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (account, period) DO UPDATE SET "
                "spent = excluded.spent, reserved = excluded.reserved, lost = excluded.lost",
                [
                    (*key, use.spent, use.reserved, use.lost)
                    for key in sorted(book.changed)
                    for use in (book.uses[key],)
                ],
            )
        if book.fresh:
            self._many(
                "INSERT INTO budget_holds (id, claims, boot, expires_at, is_expired) VALUES (?, ?, ?, ?, 0)",
                [
                    (hold_id, _encode(hold.claims), self._boot, hold.expires_at)
                    for hold_id in book.fresh
                    for hold in (book.holds[hold_id],)
                ],
            )
        if book.ended:
            self._many("DELETE FROM budget_holds WHERE id = ?", [(hold_id,) for hold_id in book.ended])
        if book.expired:
            self._many(
                "UPDATE budget_holds SET is_expired = 1 WHERE id = ?",
                [(hold_id,) for hold_id in book.expired],
            )

    def _tidy(self, book: Book, now: float) -> None:
        """Drop what can count no more: leases that ended long ago, parts that left a rolling window."""
        self._many(
            "DELETE FROM budget_holds WHERE is_expired = 1 AND (expires_at < ? OR boot <> ?)",
            [(now - _KEEP_S, self._boot)],
        )
        claims = (claim for hold in book.holds.values() for claim in hold.claims if claim.lasts_s)
        oldest = {claim.account: claim.period - claim.lasts_s - int(_KEEP_S) for claim in claims}
        if oldest:
            self._many("DELETE FROM budget_use WHERE account = ? AND period < ?", list(oldest.items()))

    def _some(self, statement: str, values: Sequence[Any]) -> Iterable[Row]:
        return self._execute(statement.replace("?", self._mark), values)

    def _many(self, statement: str, rows: Sequence[Row]) -> None:
        self._execute_many(statement.replace("?", self._mark), rows)


def _parts(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    left = iter(values)
    while some := tuple(islice(left, _AT_ONCE)):
        yield some


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
