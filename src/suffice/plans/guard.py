"""Which budgets a request falls under, and the way to the books they are kept on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from suffice.budgets import Budget, Ledger, Span
from suffice.budgets.limits import GLOBAL
from suffice.errors import CatalogueError, ConfigError, LedgerAway, StoreError
from suffice.plans.ceilings import ceiling
from suffice.plans.purse import Held, Purse
from suffice.protocols import Model
from suffice.store.desk import Desk
from suffice.types import Caller, Candidate, Options, Query

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""So old may be what is known of budgets that were set at run time."""
KEYLESS: Final = "keyless"
"""The key of requests without one."""
_REMEMBERED: Final = 10_000
Event = Literal["refused", "warned", "degraded", "clamped", "overrun"]


class BudgetEvents(msgspec.Struct):
    """What happened at one budget, in this process."""

    refused: int = 0
    warned: int = 0
    degraded: int = 0
    clamped: int = 0
    overrun: int = 0
    """Calls that took more than could be foreseen: a provider that ignores the output limit."""

    def add(self, other: BudgetEvents) -> None:
        for name in BudgetEvents.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Guard:
    """The budgets of one engine."""

    def __init__(self, ledger: Ledger, configured: Sequence[Budget] = (), *, is_strict: bool = False) -> None:
        """
        Parameters
        ----------
        configured : budgets that always hold; others may be set in the ledger
        is_strict : refuse requests of which is not known whether such a budget holds for them

        Raises
        ------
        ConfigError
            If a budget's name is given twice.
        """
        self.desk = Desk(ledger)
        self._is_strict = is_strict
        self._configured = {budget.name: budget for budget in configured}
        if len(self._configured) < len(configured):
            raise ConfigError("two budgets have the same name; each needs its own", key="budgets")
        self._index: dict[tuple[str, str | None], list[Budget]] = {}
        self._use(())
        self.events: dict[str, BudgetEvents] = {}
        """By configured budget; those set at run time together, by what they are per."""
        self._known_keys: set[str | None] = set()
        self._looked_at = float("-inf")
        self._is_known = False
        self._lock = asyncio.Lock()
        self._looking: asyncio.Task[bool] | None = None
        self._standing: dict[str, tuple[int, int]] = {}
        """By account: the period and the use that were last seen."""
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count()

    @property
    def has_budgets(self) -> bool:
        """Whether any budget was there at the last look."""
        return bool(self._index)

    def is_idle(self, key_id: str | None) -> bool:
        """Whether there is nothing to do: no budget at all, as was seen a moment ago."""
        if self._index or key_id not in self._known_keys:
            return False
        return time.monotonic() - self._looked_at < LOOK_S

    async def purse(self, caller: Caller, query: Query, models: Mapping[str, Model]) -> Purse | None:
        """For one request; None where it falls under no budget.

        Raises
        ------
        LedgerAway
            If the ledger cannot be asked and the guard is strict.
        """
        if caller.key_id not in self._known_keys:  # its budgets were set before it was given away
            has_looked = await self.look()
            if not has_looked and self._is_strict:
                raise LedgerAway("the ledger does not say which budgets hold; no call is made")
            if len(self._known_keys) >= _REMEMBERED:
                self._known_keys.clear()
            if has_looked:
                self._known_keys.add(caller.key_id)
        elif (age_s := time.monotonic() - self._looked_at) > 2 * LOOK_S:  # nobody asked for a while
            await self.look()
        elif age_s > LOOK_S and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self.look())
            self._looking.add_done_callback(self._has_looked)
        if not self._index:
            return None
        held = self._held(caller, query.user)
        if not held and not any(scope == "model" for scope, _ in self._index):
            return None
        return Purse(self, held, models)

    def of_model(self, name: str) -> Held:
        """The budgets of one candidate."""
        return tuple((budget, name) for budget in self._found("model", name))

    def degrading(self, caller: Caller, user: str | None) -> tuple[Budget, str] | None:
        """A budget so far spent that routed requests are to be answered more cheaply, and by what."""
        now = time.time()
        for budget, subject in self._held(caller, user):
            way = budget.degrades_to
            if way is None:
                continue
            period, use = self._standing.get(budget.account(subject), (0, 0))
            if use >= budget.warns_at * budget.limit and period >= budget.window.span(now).since:
                self.count(budget, "degraded")
                return budget, way
        return None

    def saw(self, account: str, span: Span, use: int) -> None:
        """Remember what the books said last."""
        if len(self._standing) >= _REMEMBERED:
            self._standing.clear()
        self._standing[account] = span.period, use

    def settled(self, account: str, amount: int) -> None:
        """A call of that account took so much since."""
        period, use = self._standing.get(account, (0, 0))
        self._standing[account] = period, use + amount

    def count(self, budget: Budget, event: Event) -> None:
        label = budget.name if budget.name in self._configured else f"({budget.per})"
        events = self.events.setdefault(label, BudgetEvents())
        setattr(events, event, getattr(events, event) + 1)

    def new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def look(self) -> bool:
        """See which budgets were set at run time; False where the ledger cannot be asked.

        Many may ask at once, of whom one looks; what was seen before one came is not enough.
        """
        came = time.monotonic()
        async with self._lock:
            if self._looked_at < came:
                self._looked_at = time.monotonic()
                try:
                    self._use(await self.desk.ledger.budgets())
                    self._is_known = True
                except StoreError as error:
                    self._is_known = False
                    _log.warning("budgets that were set at run time could not be read: %s", error)
            return self._is_known

    def _has_looked(self, task: asyncio.Task[bool]) -> None:
        self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("budgets that were set at run time could not be read: %r", error)

    async def close(self) -> None:
        """Book what waits."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await self.desk.close()

    def _use(self, found: Iterable[Budget]) -> None:
        index: dict[tuple[str, str | None], list[Budget]] = {}
        others = [budget for budget in found if budget.name not in self._configured]
        for budget in (*self._configured.values(), *others):
            index.setdefault((budget.per, budget.only), []).append(budget)
        self._index = index

    def _held(self, caller: Caller, user: str | None) -> Held:
        key, person = caller.key_id or KEYLESS, user or ""
        whole = f"{caller.tenant}/{person}"
        return (
            *((budget, "") for budget in self._index.get(("request", None), ())),
            *((budget, GLOBAL) for budget in self._index.get(("global", None), ())),
            *((budget, caller.tenant) for budget in self._found("team", caller.tenant)),
            *((budget, key) for budget in self._found("key", key)),
            *((budget, whole) for budget in self._found("user", person, whole)),
        )

    def _found(self, scope: str, *subjects: str) -> Iterable[Budget]:
        names: tuple[str | None, ...] = (None, *subjects)
        return [budget for name in names for budget in self._index.get((scope, name), ())]


def check(budget: Budget, candidates: Sequence[Candidate]) -> None:
    """Raise a ConfigError where the budget could not be kept: no price, or no bound on what a call takes."""
    if budget.per == "model" and budget.only is not None:
        candidates = [candidate for candidate in candidates if candidate.name == budget.only]
        if not candidates:
            raise ConfigError(f"the budget {budget.name!r} is for {budget.only!r}, which is not in the panel")
    fields = {} if budget.max_tokens is None else {"max_tokens": budget.max_tokens}
    for candidate in candidates:
        try:
            ceiling(candidate, Query(text=""), Options(fields=fields)).amount(candidate, budget.unit)
        except CatalogueError as error:
            raise ConfigError(f"the budget {budget.name!r} cannot be kept: {error}") from None
