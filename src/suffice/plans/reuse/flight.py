"""Identical requests of one moment make one call, and whoever waits for it gets what it brings.

The call belongs to nobody in particular: it goes on as long as anybody listens. Its record is that of the
first listener who stays to the end; for all others it was free.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import aclosing, suppress

from suffice.errors import ProviderUnavailable, SufficeError
from suffice.plans.base import Event, Note
from suffice.plans.reuse.replay import FREE
from suffice.plans.spent import shown
from suffice.types import Answer, Chunk, Decision

Keep = Callable[[Answer], None]
"""Called with an answer that came to its end."""


class Flight:
    """One call that several wait for."""

    def __init__(self, flights: Flights, key: Hashable) -> None:
        self._flights, self._key = flights, key
        self._seen: list[Event] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._listeners: list[object] = []
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._is_abandoned = self._is_paid = self.is_over = False
        self.id = ""
        """Of the record of the request that began it."""
        self.decision: Decision | None = None
        self.answer: Answer | None = None

    def begin(
        self, events: AsyncIterator[Event], first: object, *, id: str, decision: Decision, keep: Keep
    ) -> AsyncIterator[Event]:
        """Make the call; returns its events for the first listener."""
        self.id, self.decision = id, decision
        self._task = asyncio.ensure_future(self._follow(events, keep))
        self._flights.under_way.add(self._task)
        self._task.add_done_callback(self._flights.under_way.discard)
        self.join(first)
        self._wake()
        return self.events(first)

    def abandon(self) -> None:
        """There is no call, or no longer, that others could share; those who wait for it look again."""
        self._is_abandoned = True
        self._flights.landed(self._key, self)
        self._wake()

    async def has_begun(self) -> bool:
        """Waits until the call is made; False: there will be none."""
        while self._task is None and not self._is_abandoned:
            await self._news()
        return not self._is_abandoned

    def join(self, listener: object) -> None:
        """Wait for the answer, until `leave`."""
        self._listeners.append(listener)

    def leave(self, listener: object) -> bool:
        """Stop listening; True if this one accounts for the call. The last to leave early cancels it."""
        is_first = self._listeners[0] is listener
        self._listeners.remove(listener)
        if not self.is_over and not self._listeners:
            assert self._task is not None
            self._task.cancel()
            self.abandon()  # whoever comes now makes a call of their own
            return True
        if not self.is_over or self._is_paid or not is_first:
            return False
        self._is_paid = True
        return True

    async def _follow(self, events: AsyncIterator[Event], keep: Keep) -> None:
        try:
            async with aclosing(events) as running:  # type: ignore[type-var]  # plans are async generators
                async for event in running:
                    if isinstance(event, Answer):
                        self.answer = event
                    elif isinstance(event, Note) and event.decision is not None:
                        self.decision = event.decision
                    self._seen.append(event)
                    self._wake()
            if self.answer is not None:
                keep(self.answer)
        except asyncio.CancelledError:
            self._error = ProviderUnavailable("the call that this request shared was cancelled")
            raise
        except Exception as error:
            self._error = error
        finally:
            self.is_over = True
            self._flights.landed(self._key, self)
            self._wake()

    def is_payer(self, listener: object) -> bool:
        """Whether this one would account for the call if it ended now."""
        return not self._is_paid and self._listeners[:1] == [listener]

    async def events(self, listener: object = None) -> AsyncIterator[Event]:
        """All of the call, from its beginning; the usage is shown to whoever accounts for it."""
        at = 0
        while True:
            while at < len(self._seen):
                event = self._seen[at]
                at += 1
                is_free = isinstance(event, Chunk) and not self.is_payer(listener)
                yield shown(event, FREE) if is_free else event  # type: ignore[arg-type]  # it is a chunk
            if self.is_over:
                if self._error is not None:  # each listener writes its own record's id on it
                    own = isinstance(self._error, SufficeError)
                    raise copy.copy(self._error) if own else self._error
                return
            await self._news()

    async def _news(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()


class Flights:
    """The calls under way, by what they answer."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight] = {}
        self.under_way: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, key: Hashable) -> Flight | None:
        return self._flights.get(key)

    def open(self, key: Hashable) -> Flight:
        """A call that is about to be made: those who come for the same wait for its beginning."""
        flight = self._flights[key] = Flight(self, key)
        return flight

    def landed(self, key: Hashable, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def close(self) -> None:
        """Cancel what is still under way, and wait for its end."""
        for task in list(self.under_way):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
