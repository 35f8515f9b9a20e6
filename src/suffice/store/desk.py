"""The way from an event loop to a ledger: what comes while a batch is under way makes the next one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from suffice.budgets import Ledger, Operation, Outcome, Reserve, Settle
from suffice.errors import StoreError

_log = logging.getLogger(__name__)
_BATCH: Final = 512
_RELEASES: Final = 10_000
"""So many wait for a ledger that does not answer; what more would be given back ends with its lease."""
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 2.0

Entry = tuple[Operation, "asyncio.Future[Outcome] | None"]


class Desk:
    """Of one event loop. Operations reach the ledger in the order in which they came.

    A ledger that does not answer fails reservations: nobody is asked on a budget that cannot be kept.
    Settlements stay until it takes them.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._queue: deque[Entry] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._is_closed = False
        self.fault: StoreError | None = None
        """Why the last batch was refused; None once one went in."""

    async def reserve(self, operation: Reserve) -> Outcome:
        """Granted or refused, and on disk.

        Raises
        ------
        StoreError
            If the ledger does not take it; nothing is held then, or ends with its lease.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._add(operation, future)
        try:
            return await future
        except (asyncio.CancelledError, StoreError):  # it may have been granted all the same
            self.settle(Settle(operation.id))
            raise

    def settle(self, operation: Settle) -> None:
        """Have it booked; does not wait."""
        self._add(operation, None)

    async def settled(self, operation: Settle) -> None:
        """Returns once it is booked.

        Raises
        ------
        StoreError
            If the ledger did not take it this time; it is tried again.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._add(operation, future)
        await asyncio.shield(future)

    async def close(self, within_s: float = 5.0) -> None:
        """Book what waits, and let go of the ledger; what comes later ends with its lease."""
        await asyncio.sleep(0)  # streams that were left are closed by the loop, and settle then
        self._is_closed = True
        if self._worker is not None:
            await asyncio.wait((self._worker,), timeout=within_s)
            if not self._worker.done():
                self._worker.cancel()
                _log.error("%d settlements were not booked before the end: %s", len(self._queue), self.fault)
        await self.ledger.close()

    def _add(self, operation: Operation, future: asyncio.Future[Outcome] | None) -> None:
        if self._is_closed:
            if future is not None:
                future.set_exception(StoreError("the ledger is closed"))
            return
        self._queue.append((operation, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Batch after batch until nothing waits."""
        pause_s = 0.0
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]
            try:
                outcomes = await self.ledger.apply([operation for operation, _ in batch])
            except StoreError as error:
                self._refused(batch, error)
                pause_s = min(max(_FIRST_PAUSE_S, 2 * pause_s), _LAST_PAUSE_S)
                await asyncio.sleep(pause_s)
                continue
            except Exception as error:  # the outermost edge of this task: who waits must hear of it
                _log.exception("a batch of %d operations on budgets is given up", len(batch))
                for _, future in batch:
                    if future is not None and not future.done():
                        future.set_exception(StoreError(f"the ledger failed: {error!r}"))
                continue
            self.fault, pause_s = None, 0.0
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future is not None and not future.done():
                    future.set_result(outcome)

    def _refused(self, batch: list[Entry], error: StoreError) -> None:
        """Reservations fail; settlements wait, before what came after them."""
        if self.fault is None:
            _log.error("budgets cannot be kept, and no call on them is made: %s", error)
        self.fault = error
        left: list[Entry] = []
        for operation, future in batch:
            if future is not None and not future.done():
                future.set_exception(error)
            if isinstance(operation, Settle) and (operation.used or len(self._queue) < _RELEASES):
                left.append((operation, None))
        self._queue.extendleft(reversed(left))
