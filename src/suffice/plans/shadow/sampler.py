"""A share of all queries is answered by the strong model too, and the monitor told what was lost.

The coin is thrown without a look at the query or the decision. Where it falls on shadow and the cheap model
answered, the strong one is asked as well, once the client has its answer; where the strong one answered
anyway, nothing was lost. Left out are requests that were not answered by the model that was decided for (an
outage is no fault of the threshold), that the strong model cannot serve, whose client left, streams that end
in tool calls, and comparisons that failed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from suffice.errors import ArtefactError, SufficeError
from suffice.plans.shadow.base import Ask, Grader
from suffice.plans.shadow.watch import Tally, Watch
from suffice.policies.guarantee import Guarantee
from suffice.types import Answer, Options, Query, Record

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How long a withdrawal by another worker may go unnoticed."""
NOT_ASKED_AGAIN: Final = ("stream", "stream_options", "n", "user", "metadata", "logprobs", "top_logprobs")
"""Fields of a request that its shadow does not repeat."""


class Shadow:
    """Samples, compares in the background, and withdraws the policy's promise."""

    def __init__(
        self,
        policy: Guarantee,
        watch: Watch,
        *,
        rate: float,
        grader: Grader | None = None,
        most_open: int = 32,
        seed: int | None = None,
    ) -> None:
        """
        Parameters
        ----------
        rate : of queries that are shadowed, in [0, 1]; 0 only keeps to what was found before
        most_open : shadowed requests under way at once; while there are more, none is begun
        seed : of the coin; None draws one
        """
        self.policy, self.watch = policy, watch
        self.rate = rate
        self._grader = grader
        self._most_open = most_open
        self._random = random.Random(seed)
        self._open: deque[Slot] = deque()
        self._ready: list[float] = []
        self._told = Tally()
        """Not on disk yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: asyncio.Task[None] | None = None
        self._looked_at = monotonic()
        self._keep_to_it()

    def look(self) -> None:
        """Before a decision: once a second, what other workers found."""
        now = monotonic()
        if now - self._looked_at >= LOOK_S and self._writing is None:
            self._looked_at = now
            try:
                self.watch.refresh()
            except (ArtefactError, OSError) as error:
                _log.error("the monitor cannot be read: %s", error)
            self._keep_to_it()

    def toss(self) -> Slot | None:
        """The coin; none once the promise is withdrawn, when there is nothing left to watch."""
        if self.policy.withdrawn is not None or not self._random.random() < self.rate:
            return None
        if len(self._open) >= self._most_open:
            self._told = self._told.plus(Tally(skipped=1))
            return None
        slot = Slot(self, self.rate)
        self._open.append(slot)
        return slot

    def ended(
        self,
        slot: Slot,
        query: Query,
        options: Options,
        record: Record,
        answer: Answer | None,
        ask_for: AskFor,
    ) -> None:
        """See `Slot.ended`."""
        if answer is None or answer.candidate != record.decision.candidate or _is_partly_known(answer):
            self._settle(slot, None)
        elif answer.candidate == self.policy.strong:
            self._settle(slot, 0.0)
        elif self.policy.strong not in record.decision.ranking:
            self._settle(slot, None)  # it cannot serve this request: no image reaches a model without eyes
        elif answer.candidate == self.policy.weak and self._grader is not None:
            work = self._compare(slot, query, options, answer, ask_for(record, slot), self._grader)
            self._start(work)
        else:
            self._settle(slot, None)

    async def close(self, within_s: float = 5.0) -> None:
        """Let what is under way end, for a while, and write down what was found."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        while self._writing is not None:
            await asyncio.wait({self._writing})
        if self._told != Tally():
            await self._write()

    async def settled(self) -> None:
        """Returns once nothing is under way; for tests and scripts."""
        while self._tasks or self._writing is not None:
            await asyncio.wait({*self._tasks, *filter(None, [self._writing])})

    async def _compare(
        self, slot: Slot, query: Query, options: Options, weak: Answer, ask: Ask, grader: Grader
    ) -> None:
        drop: float | None = None
        try:
            drop = await self._drop(query, options, weak, _counted(ask, self._count), grader)
        except SufficeError as error:
            _log.warning("a shadow came to nothing: %s", error)
        except Exception as error:  # the outermost edge of this task, and a grader may be anybody's
            _log.error("the grader failed with %s", type(error).__name__)
        finally:
            if drop is None:
                self._told = self._told.plus(Tally(failed=1))
            self._settle(slot, drop)

    async def _drop(
        self, query: Query, options: Options, weak: Answer, ask: Ask, grader: Grader
    ) -> float | None:
        fields = {name: value for name, value in options.fields.items() if name not in NOT_ASKED_AGAIN}
        strong = await ask(self.policy.strong, query, Options(fields=fields))
        drop = await grader.drop(query, weak, strong, ask)
        if drop is None or not -1 <= drop <= 1:
            _log.warning("the grader says %r, which is no difference of qualities in [-1, 1]", drop)
            return None
        return drop

    def _count(self, answer: Answer) -> None:
        if answer.cost_usd is not None:
            self._told = self._told.plus(Tally(cost_usd=answer.cost_usd))

    def _settle(self, slot: Slot, drop: float | None) -> None:
        """Drops go to the monitor in the order of the coins: a bet must not know who takes longer."""
        slot.is_settled, slot.drop = True, drop
        is_regression = self.policy.certificate.promise == "regressions"
        while self._open and self._open[0].is_settled:
            drop = self._open.popleft().drop
            if drop is not None:
                self._ready.append(max(0.0, drop) if is_regression else drop)
        if self._ready and self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._ready:
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        ready, self._ready = self._ready, []
        told, self._told = self._told, Tally()
        await asyncio.to_thread(self.watch.update, ready, told)
        self._keep_to_it()

    def _keep_to_it(self) -> None:
        monitor = self.watch.monitor
        if monitor.is_withdrawn and self.policy.withdrawn is None:
            about = self.policy.certificate
            why = (
                f"{about.promise} of {monitor.mean_drop:.3f} over {monitor.n:,} shadowed queries, more than "
                f"the {about.epsilon:g} promised"
            )
            self.policy.withdraw(why)
            _log.warning(
                "the promise is withdrawn, %s: all goes to %s until there is a new certificate",
                why,
                self.policy.strong,
            )

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Slot:
    """One shadowed request, in the order of the coins."""

    __slots__ = ("_shadow", "drop", "is_settled", "probability")

    def __init__(self, shadow: Shadow, probability: float) -> None:
        self._shadow = shadow
        self.probability = probability
        self.is_settled = False
        self.drop: float | None = None

    def ended(
        self, query: Query, options: Options, record: Record, answer: Answer | None, ask_for: AskFor
    ) -> None:
        """The request is over; without an answer: nobody gave one, or not to the end."""
        self._shadow.ended(self, query, options, record, answer, ask_for)


AskFor = Callable[[Record, Slot], Ask]
"""How the engine asks on the account of a request: every call leaves a record of its own."""


def _is_partly_known(answer: Answer) -> bool:
    """Of a stream only the text is put together: tool calls in it cannot be compared."""
    return answer.finish_reason in ("tool_calls", "function_call") and not answer.tool_calls


def _counted(ask: Ask, count: Callable[[Answer], None]) -> Ask:
    async def asking(name: str, query: Query, options: Options) -> Answer:
        answer = await ask(name, query, options)
        count(answer)
        return answer

    return asking
