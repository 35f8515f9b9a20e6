"""One thread that writes what was queued, a batch per transaction.

`append` costs the caller a queue entry and at most one wake-up per interval. A batch that the database
refuses stays queued and is tried again, less and less often, until it goes in; the queue is bounded, and
what no longer fits is dropped, counted, and noted in the database once it writes again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from suffice.errors import StoreError
from suffice.store.base import LARGEST, Amount, Sink, encode, to_pico
from suffice.store.tally import Counter
from suffice.types import Record

_log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.05
"""From the first record of a batch to its commit; half of what is promised."""
MAX_QUEUED: Final = 20_000
"""Records that wait for a database that does not answer."""
_BATCH: Final = 512
_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 2.0
_CLOSE_S: Final = 5.0

Operation = Callable[[Any], Any]
Submitted = tuple[Operation, bool, "Future[Any]"]
Outcome = tuple["Future[Any]", Any, Exception | None]


class Writer:
    """A queue and the thread that empties it into a sink."""

    def __init__(self, sink: Sink, tally: Counter, *, max_queued: int = MAX_QUEUED) -> None:
        self._sink = sink
        self._tally = tally
        self._mark = tally.mark
        self._max_queued = max_queued
        self._room = max_queued
        """How many the queue itself may hold, beside the rows of a refused batch."""
        self._queue: deque[tuple[Record, int | None]] = deque()
        self._values: list[Any] = []
        """The rows of the next transaction, end to end."""
        self._rows = Amount()
        """How many rows those are, and their cost."""
        self._scratch = bytearray(1024)
        self._operations: deque[Submitted] = deque()
        self._appending = threading.Lock()
        self._wake = threading.Event()
        self._is_idle = False
        self._is_closing = False
        self._is_closed = False
        self._unnoted: dict[str, Amount] = {}
        """Lost since the last commit, by reason."""
        self._settled = Amount()
        self.n_appended = 0
        self._pico_appended = 0
        self.n_committed = 0
        self.n_known = 0
        """Not written because a record of that id was there already."""
        self.lost: dict[str, Amount] = {}
        """Lost since the start, by reason."""
        self.fault: StoreError | None = None
        """Why the last batch was refused; None once one went in."""
        self._thread = threading.Thread(target=self._run, name="suffice-store", daemon=True)
        self._thread.start()

    # -- called by anyone ------------------------------------------------------------------

    def append(self, record: Record) -> None:
        """Queue a record; never blocks and never raises."""
        usd = record.cost_usd
        cost: int | None = 0
        if usd is not None:
            try:
                cost = to_pico(usd)
            except ValueError:
                cost = None  # the thread will reject the record
        with self._appending:
            if self._is_closing:
                _log.warning("a record came after the store was closed and is not kept: %s", record.id)
                return
            self.n_appended = n = self.n_appended + 1
            if cost:
                self._pico_appended = (self._pico_appended + cost) & LARGEST
            pico = self._pico_appended
            self._mark(n, pico, n, pico)
            if len(self._queue) >= self._room:
                self._lose("dropped", cost or 0)
                return
            self._queue.append((record, cost))
        if self._is_idle:
            self._is_idle = False
            self._wake.set()

    def submit(self, operation: Operation, *, durable: bool = False) -> Future[Any]:
        """Have an operation run after everything appended so far, in one transaction with it.

        Returns
        -------
        Future
            Done once that transaction is committed, or failed with why it is not.
        """
        future: Future[Any] = Future()
        if self._is_closing:
            future.set_exception(StoreError("the store is closed"))
            return future
        self._operations.append((operation, durable, future))
        self._wake.set()
        if self._is_closed:  # it closed meanwhile, and nobody may come to take this
            self._fail_operations(StoreError("the store is closed"))
        return future

    @property
    def n_queued(self) -> int:
        return len(self._queue) + self._rows.n

    def close(self) -> None:
        """Write what is queued, for at most five seconds, and end the thread; may be called twice."""
        with self._appending:
            self._is_closing = True
        self._wake.set()
        self._thread.join()

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        retry_s = 0.0
        while not self._is_closing:
            self._wait(retry_s)
            retry_s = 0.0 if self._flush() else min(max(_FIRST_RETRY_S, 2 * retry_s), _LAST_RETRY_S)
        self._finish()

    def _wait(self, retry_s: float) -> None:
        """Until a batch is due: an interval after its first record, or at once for an operation."""
        if retry_s == 0.0 and not self._queue and not self._operations:
            self._is_idle = True
            if not self._queue and not self._operations and not self._is_closing:
                self._wake.wait()
            self._is_idle = False
            self._wake.clear()
        if not self._operations and not self._is_closing:
            self._wake.wait(retry_s or INTERVAL_S)
        self._wake.clear()

    def _finish(self) -> None:
        deadline = time.monotonic() + _CLOSE_S
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(_FIRST_RETRY_S)
        self._is_closed = True
        self._fail_operations(StoreError("the store is closed"))
        if self.n_queued:
            _log.error("%d records were not written before the end: %s", self.n_queued, self.fault)
        is_settled = self.n_queued == 0 and not self._unnoted
        self._sink.close(is_settled=is_settled)
        self._tally.close(is_settled=is_settled)

    def _flush(self) -> bool:
        """Write everything that was queued when it began; False if the database refused."""
        operations = self._take_operations()
        n_due = len(self._queue)
        try:
            while True:
                n_due -= self._encode_batch(n_due)
                is_last = n_due <= 0
                if self._values or self._unnoted or operations:
                    self._commit(operations if is_last else [])
                if is_last:
                    self.fault = None
                    return True
        except Exception as error:  # the outermost edge of this thread: it must live on
            fault = error if isinstance(error, StoreError) else StoreError(f"the store failed: {error!r}")
            self._note_fault(fault)
            for _, _, future in operations:
                future.set_exception(fault)
            return False

    def _encode_batch(self, n_due: int) -> int:
        """Turn queued records into rows, up to a full batch; returns how many it took."""
        n_taken = min(n_due, _BATCH - self._rows.n)
        n_rows, total = self._rows
        for _ in range(n_taken):
            record, pico = self._queue.popleft()
            try:
                self._values += encode(record, pico, self._scratch)
                n_rows += 1
                total += pico or 0
            except Exception:  # whatever a caller put in: the others must still be written
                _log.exception("a record cannot be written and is given up: %s", record.id)
                with self._appending:
                    self._lose("rejected", pico or 0)
        self._rows = Amount(n_rows, total)
        self._room = self._max_queued - n_rows
        return n_taken

    def _commit(self, operations: list[Submitted]) -> None:
        with self._appending:
            lost, self._unnoted = self._unnoted, {}
        settled = _plus(self._settled, self._rows, *lost.values())
        results: list[Outcome] = []
        try:
            self._sink.begin(durable=any(durable for _, durable, _ in operations))
            n_new = self._sink.insert(self._values) if self._values else 0
            if self._rows.n or lost:
                self._sink.settle(settled, lost)
            for operation, _, future in operations:
                results.append(self._perform(operation, future))
            self._sink.commit()
        except Exception:
            self._sink.rollback()
            with self._appending:
                for reason, amount in lost.items():
                    self._unnoted[reason] = _plus(self._unnoted.get(reason, Amount()), amount)
            raise
        self._settled = settled
        self.n_committed += n_new
        self.n_known += self._rows.n - n_new
        self._values, self._rows = [], Amount()
        self._room = self._max_queued
        if self.fault is not None:
            _log.warning("the store takes records again")
        for future, result, error in results:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def _perform(self, operation: Operation, future: Future[Any]) -> Outcome:
        """One operation's result or its own error; only a StoreError ends the whole transaction."""
        try:
            return future, self._sink.perform(operation), None
        except StoreError:
            raise
        except Exception as error:
            return future, None, error

    def _take_operations(self) -> list[Submitted]:
        taken: list[Submitted] = []
        while True:
            try:
                entry = self._operations.popleft()
            except IndexError:
                return taken
            if entry[2].set_running_or_notify_cancel():
                taken.append(entry)

    def _fail_operations(self, error: StoreError) -> None:
        for _, _, future in self._take_operations():
            future.set_exception(error)

    def _lose(self, reason: str, pico: int) -> None:
        """Count a record that will not be written; the caller holds the lock."""
        one = Amount(1, pico)
        self._unnoted[reason] = _plus(self._unnoted.get(reason, Amount()), one)
        self.lost[reason] = _plus(self.lost.get(reason, Amount()), one)

    def _note_fault(self, error: StoreError) -> None:
        if self.fault is None:
            _log.error("records wait, up to %d of them: %s", self._max_queued, error)
        self.fault = error


def _plus(*amounts: Amount) -> Amount:
    return Amount(sum(amount.n for amount in amounts), sum(amount.pico for amount in amounts))
