"""Reserve before the call, settle after: the arithmetic that no concurrency can break.

Before a call its highest possible cost is set aside in every budget that it falls under, in all of them or in
none. What is spent and what is set aside together never exceed a limit. After the call the reservation is
replaced by what it really cost; one that is never settled, because its process died, ends with its lease.

A `Book` does this for the rows that a batch of operations touches. The authorities (memory, SQLite,
PostgreSQL) load those rows, apply the batch and save them in one transaction; Redis does the same in Lua.
All amounts are whole numbers: pico-dollars or tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from suffice.budgets.limits import Budget


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one call asks of one account."""

    account: str
    period: int
    """Where it is booked; see `windows.Span`."""
    since: int
    until: int
    amount: int
    limit: int | None
    """None only counts: of a soft budget."""
    charges_lost: bool = False
    """A lease that ends is charged in full, not given back."""
    lasts_s: int = 0
    """How long its period counts; 0: not limited."""


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """Set the claims aside, all or none. An id is used once."""

    id: str
    claims: tuple[Claim, ...]
    lease_s: float


class Settle(msgspec.Struct, frozen=True, gc=False):
    """The call is over: book what it used. It may be sent twice: an id that holds nothing books nothing."""

    id: str
    used: tuple[int, ...] = ()
    """By claim, in their order; empty: nothing."""


Operation = Reserve | Settle


class Use(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of one account in one period."""

    spent: int = 0
    reserved: int = 0
    lost: int = 0
    """Reservations whose lease ended, given back or charged."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """Of one operation: the accounts' use, by claim, as it is after a grant and was before a refusal."""

    used: tuple[tuple[int, int], ...] = ()
    """(spent, reserved) of all that counts; up to the first refused claim."""
    refused: int | None = None
    """The claim that did not fit; None: done."""
    oldest: int | None = None
    """Of a refused claim in a rolling window: its oldest part with any use."""


class Hold(msgspec.Struct):
    """A reservation, for as long as it is remembered."""

    claims: tuple[Claim, ...]
    expires_at: float
    """On the ledger's own clock."""
    is_expired: bool = False


class Book:
    """The rows that a batch touches: apply operations, then save what is named as changed."""

    def __init__(self) -> None:
        self.uses: dict[tuple[str, int], Use] = {}
        """By account and period."""
        self.holds: dict[str, Hold] = {}
        self.changed: set[tuple[str, int]] = set()
        self.fresh: set[str] = set()
        self.expired: set[str] = set()
        self.ended: set[str] = set()
        """Holds by what became of them; one that came and went is in none."""
        self._periods: dict[str, list[int]] = {}

    def put(self, account: str, period: int, use: Use) -> None:
        if (account, period) not in self.uses:
            self._periods.setdefault(account, []).append(period)
        self.uses[account, period] = use

    def apply(self, operation: Operation, now: float) -> Outcome:
        """One operation; `now` is the ledger's clock, for leases alone."""
        if isinstance(operation, Settle):
            self._settle(operation)
            return Outcome()
        return self._reserve(operation, now)

    def expire(self, hold_id: str) -> None:
        """End a lease."""
        hold = self.holds[hold_id]
        if hold.is_expired:
            return
        hold.is_expired = True
        self.expired.add(hold_id)
        for claim in hold.claims:
            charged = claim.amount if claim.charges_lost else 0
            self._add(claim, charged, -claim.amount, claim.amount)

    def _reserve(self, operation: Reserve, now: float) -> Outcome:
        found: list[tuple[int, int]] = []
        for place, claim in enumerate(operation.claims):
            spent, reserved, oldest = self._used(claim)
            found.append((spent, reserved))
            if claim.limit is not None and spent + reserved + claim.amount > claim.limit:
                return Outcome(tuple(found), place, oldest)
        for claim in operation.claims:
            self._add(claim, 0, claim.amount, 0)
        self.holds[operation.id] = Hold(operation.claims, now + operation.lease_s)
        self.fresh.add(operation.id)
        claims = zip(found, operation.claims, strict=True)
        return Outcome(tuple((spent, reserved + claim.amount) for (spent, reserved), claim in claims))

    def _settle(self, operation: Settle) -> None:
        hold = self.holds.pop(operation.id, None)
        if hold is None:
            return
        used = operation.used or (0,) * len(hold.claims)
        for claim, amount in zip(hold.claims, used, strict=True):
            if hold.is_expired:  # its lease ended before it was over: what was lost is found
                charged = claim.amount if claim.charges_lost else 0
                self._add(claim, amount - charged, 0, -claim.amount)
            else:
                self._add(claim, amount, -claim.amount, 0)
        self.expired.discard(operation.id)
        if operation.id in self.fresh:
            self.fresh.remove(operation.id)
        else:
            self.ended.add(operation.id)

    def _used(self, claim: Claim) -> tuple[int, int, int | None]:
        """Spent and reserved where it counts for this claim, and a rolling window's oldest part with any."""
        if claim.since == claim.until:
            use = self.uses.get((claim.account, claim.period)) or Use()
            return use.spent, use.reserved, None
        spent, reserved, oldest = 0, 0, None
        for period in self._periods.get(claim.account, ()):
            use = self.uses[claim.account, period]
            if claim.since <= period <= claim.until and use.spent + use.reserved:
                spent, reserved = spent + use.spent, reserved + use.reserved
                oldest = period if oldest is None else min(oldest, period)
        return spent, reserved, oldest

    def _add(self, claim: Claim, spent: int, reserved: int, lost: int) -> None:
        key = claim.account, claim.period
        before = self.uses.get(key) or Use()
        self.put(*key, Use(before.spent + spent, before.reserved + reserved, before.lost + lost))
        self.changed.add(key)


class Ledger(Protocol):
    """An authority over budgets; several processes may share one."""

    async def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """All of them, in their order, in one transaction.

        Raises
        ------
        StoreError
            If it is not known to be done; it may be sent again.
        """
        ...

    async def uses(self) -> Mapping[tuple[str, int], Use]:
        """Everything, by account and period."""
        ...

    async def budgets(self) -> list[Budget]:
        """Those that were set beside the configuration's."""
        ...

    async def set_budget(self, budget: Budget) -> None:
        """Add it, or put it in the place of the one of that name."""
        ...

    async def clear_budget(self, name: str) -> bool:
        """Take it away; False if there was none. What was spent stays on the books."""
        ...

    async def close(self) -> None: ...


class MemoryLedger:
    """The authority of one process, forgotten with it."""

    def __init__(self) -> None:
        self._book = Book()
        self._budgets: dict[str, Budget] = {}
        self._now = 0.0

    def tick(self, seconds: float) -> None:
        """Let time pass, for leases; those that end are given up."""
        self._now += seconds
        book = self._book
        for hold_id in [key for key, hold in book.holds.items() if hold.expires_at < self._now]:
            book.expire(hold_id)

    async def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        outcomes = [self._book.apply(operation, self._now) for operation in operations]
        for named in (self._book.changed, self._book.fresh, self._book.expired, self._book.ended):
            named.clear()
        return outcomes

    async def uses(self) -> Mapping[tuple[str, int], Use]:
        return dict(self._book.uses)

    async def budgets(self) -> list[Budget]:
        return list(self._budgets.values())

    async def set_budget(self, budget: Budget) -> None:
        self._budgets[budget.name] = budget

    async def clear_budget(self, name: str) -> bool:
        return self._budgets.pop(name, None) is not None

    async def close(self) -> None:
        """Has nothing to close."""
