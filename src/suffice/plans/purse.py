"""What one request may spend: every call of its plan is reserved before it is made, and settled after."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from suffice.budgets import Budget, Claim, Reserve, Settle, Span
from suffice.budgets.limits import Unit
from suffice.errors import BudgetExceeded, CatalogueError, ProviderError
from suffice.plans.ceilings import LONGEST_S, Ceiling, ceiling, seen_usage, used
from suffice.plans.refusals import Refusal, exceeded, standing
from suffice.protocols import Model
from suffice.types import Answer, Candidate, Chunk, Options, Query, Usage

if TYPE_CHECKING:
    from suffice.plans.guard import Guard

SHORTEST: Final = 16
"""Tokens: an output limit is not lowered further than this."""
GRACE_S: Final = 60.0
"""A lease lasts so much longer than its call may."""
_FIRST_PAUSE_S: Final = 0.01
_LAST_PAUSE_S: Final = 0.2
_OPENAI: Final = ("openai", "azure")
"""They want `max_completion_tokens`; all others know `max_tokens`."""

Held = tuple[tuple[Budget, str], ...]
"""Budgets, each with the subject whose books it is kept on."""


class Purse:
    """Of one request."""

    def __init__(self, guard: Guard, held: Held, models: Mapping[str, Model]) -> None:
        """
        Parameters
        ----------
        held : the budgets that it falls under whoever is asked
        """
        self._guard, self._held = guard, held
        self.models: Mapping[str, Model] = {name: Budgeted(model, self) for name, model in models.items()}
        self.own: dict[str, int] = {}
        """By budget per request: what is spent and reserved."""
        self._warnings: dict[str, str] = {}
        self._max_tokens: int | None = None
        """The output limit that was set or lowered."""

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """What the client is told, as names and values of headers."""
        found = [("budget", ", ".join(self._warnings.values()))] if self._warnings else []
        if self._max_tokens is not None:
            found.append(("max-tokens", str(self._max_tokens)))
        return tuple(found)

    async def hold(self, candidate: Candidate, query: Query, options: Options) -> Holding:
        """Set aside the most that the call can take, in every budget or in none.

        Raises
        ------
        BudgetExceeded
            If a budget has no room for it.
        StoreError
            If the ledger cannot be asked: no call is made on a budget that cannot be kept.
        """
        held = (*self._held, *self._guard.of_model(candidate.name))
        limits = [budget.max_tokens for budget, _ in held if budget.max_tokens is not None]
        if limits and options.max_tokens is None:
            options = self._limited(options, candidate, min(limits))
        bounds = ceiling(candidate, query, options)
        start, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                holding = Holding(self, held, candidate, query, options, bounds)
            except CatalogueError as error:  # a budget cannot be kept for it: perhaps for the next one
                raise BudgetExceeded(str(error), candidate=candidate.name) from error
            found = await self._tried(holding)
            if isinstance(found, Holding):
                return found
            budget = found.budget
            room = bounds.fitting(candidate, budget.unit, found.left) if budget.clamp else 0
            if SHORTEST <= room < (bounds.completion_tokens or 0):
                options = self._limited(options, candidate, room)
                bounds = msgspec.structs.replace(bounds, completion_tokens=room)
                self._guard.count(budget, "clamped")
            elif found.may_pass and time.monotonic() - start < budget.wait_s:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            else:
                self._guard.count(budget, "refused")
                raise exceeded(found, candidate.name, time.time())

    async def _tried(self, holding: Holding) -> Holding | Refusal:
        """The holding, granted, or why not."""
        refused = holding.take_own(self.own)
        if refused is not None:
            return refused
        try:
            refused = await holding.reserve(self._guard)
        except BaseException:
            holding.give_back_own(self.own)
            raise
        if refused is not None:
            holding.give_back_own(self.own)
            return refused
        for budget, span, spent, reserved in holding.standings:
            if spent + reserved >= budget.warns_at * budget.limit:
                if budget.name not in self._warnings:
                    self._guard.count(budget, "warned")
                self._warnings[budget.name] = standing(budget, span, spent, reserved)
        return holding

    def _limited(self, options: Options, candidate: Candidate, max_tokens: int) -> Options:
        """The options with that output limit, in the field that was given or that this provider wants."""
        name = "max_completion_tokens" if candidate.provider in _OPENAI else "max_tokens"
        if options.max_tokens is not None:
            given = (key for key in ("max_completion_tokens", "max_tokens") if key in options.fields)
            name = next(key for key in given if isinstance(options.fields[key], int))
        self._max_tokens = max_tokens
        return msgspec.structs.replace(options, fields={**options.fields, name: max_tokens})


class Holding:
    """What one call has set aside."""

    def __init__(
        self, purse: Purse, held: Held, candidate: Candidate, query: Query, options: Options, bounds: Ceiling
    ) -> None:
        self._purse, self._candidate, self._query = purse, candidate, query
        self.options = options
        amounts = {unit: bounds.amount(candidate, unit) for unit in {budget.unit for budget, _ in held}}
        self._own = [(budget, amounts[budget.unit]) for budget, _ in held if budget.per == "request"]
        self._kept = [(*pair, amounts[pair[0].unit]) for pair in held if pair[0].per != "request"]
        self._guard: Guard | None = None
        self._id = ""
        self.standings: list[tuple[Budget, Span, int, int]] = []
        """Of each budget with books: spent and reserved, by others than this call."""

    def take_own(self, own: dict[str, int]) -> Refusal | None:
        """Set aside in the budgets per request, which need no ledger."""
        for budget, amount in self._own:
            before = own.get(budget.name, 0)
            if before + amount > budget.limit:
                return Refusal(budget, "", budget.window.span(0), before, 0, amount)
        for budget, amount in self._own:
            own[budget.name] = own.get(budget.name, 0) + amount
        return None

    def give_back_own(self, own: dict[str, int]) -> None:
        for budget, amount in self._own:
            own[budget.name] -= amount

    async def reserve(self, guard: Guard) -> Refusal | None:
        """Set aside on the books."""
        self._guard = guard
        if not self._kept:
            return None
        now = time.time()
        spans = [budget.window.span(now) for budget, _, _ in self._kept]
        claims = tuple(
            Claim(
                budget.account(subject),
                span.period,
                span.since,
                span.until,
                amount,
                budget.limit if budget.hard else None,
                budget.lost == "charge",
                span.lasts_s,
            )
            for (budget, subject, amount), span in zip(self._kept, spans, strict=True)
        )
        self._id = guard.new_id()
        lease_s = (self.options.timeout_s or LONGEST_S) + GRACE_S
        outcome = await guard.desk.reserve(Reserve(self._id, claims, lease_s))
        is_in = outcome.refused is None
        for claim, span, (spent, reserved) in zip(claims, spans, outcome.used, strict=False):
            guard.saw(claim.account, span, spent + reserved - is_in * claim.amount)
        if outcome.refused is not None:
            budget, subject, amount = self._kept[outcome.refused]
            spent, reserved = outcome.used[outcome.refused]
            span = spans[outcome.refused]
            return Refusal(budget, subject, span, spent, reserved, amount, outcome.oldest)
        self.standings = [
            (budget, span, spent, reserved - amount)
            for (budget, _, amount), span, (spent, reserved) in zip(
                self._kept, spans, outcome.used, strict=True
            )
        ]
        return None

    def settle(self, usage: Usage, cost_usd: Decimal | None = None) -> None:
        """Book what was used; of what nobody said, all that was set aside."""
        took = {
            budget.unit: used(self._candidate, budget.unit, usage, cost_usd)
            for budget in (*(entry[0] for entry in self._own), *(entry[0] for entry in self._kept))
        }
        self._book(took)

    def seen(self, n_characters: int) -> None:
        """The stream was cut: book an estimate of what it had used."""
        usage = seen_usage(self._query, n_characters)
        took = {budget.unit: used(self._candidate, budget.unit, usage, None) for budget, *_ in self._kept}
        reserved = {budget.unit: amount for budget, _, amount in self._kept}
        self._book({unit: None if of is None else min(of, reserved[unit]) for unit, of in took.items()})

    def keep(self) -> None:
        """Nobody will say what it took: all that was set aside is spent."""
        self._book({})

    def release(self) -> None:
        """Nothing was used."""
        self._book({"usd": 0, "tokens": 0})

    def _book(self, took: Mapping[Unit, int | None]) -> None:
        own = self._purse.own
        for budget, amount in self._own:
            own[budget.name] += _or(took.get(budget.unit), amount) - amount
        if self._guard is None or not self._kept:
            return
        amounts: Sequence[int] = [_or(took.get(budget.unit), amount) for budget, _, amount in self._kept]
        for (budget, subject, reserved), amount in zip(self._kept, amounts, strict=True):
            self._guard.settled(budget.account(subject), amount)
            if amount > reserved:
                self._guard.count(budget, "overrun")
        self._guard.desk.settle(Settle(self._id, tuple(amounts)))


class Budgeted:
    """Wraps a model and is one: each call is set aside before it is made, and booked after."""

    def __init__(self, model: Model, purse: Purse) -> None:
        self.model, self._purse = model, purse

    @property
    def candidate(self) -> Candidate:
        return self.model.candidate

    async def answer(self, query: Query, options: Options) -> Answer:
        holding = await self._purse.hold(self.candidate, query, options)
        try:
            answer = await self.model.answer(query, holding.options)
        except ProviderError:
            holding.release()
            raise
        except BaseException:
            holding.keep()  # cancelled: it may be written, and billed, to its end
            raise
        holding.settle(answer.usage, answer.cost_usd)
        return answer

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        holding = await self._purse.hold(self.candidate, query, options)
        usage, n_characters, has_content = Usage(), 0, False
        chunks = self.model.stream(query, holding.options)
        try:
            async for chunk in chunks:
                n_characters += len(chunk.text)
                has_content = has_content or chunk.has_content
                usage = chunk.usage or usage
                yield chunk
        except ProviderError:
            if has_content:
                holding.seen(n_characters)
            else:
                holding.release()
            raise
        except BaseException:  # the client left, or the plan needs no more
            if usage.total_tokens is None:
                holding.seen(n_characters)
            else:
                holding.settle(usage)
            raise
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]  # streams are async generators
        holding.settle(usage)

    async def close(self) -> None:
        await self.model.close()


def _or(known: int | None, otherwise: int) -> int:
    return otherwise if known is None else known
