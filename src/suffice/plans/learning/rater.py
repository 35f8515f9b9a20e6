"""A candidate rates a share of the answers, for so much a day."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from suffice.datasets.judging import JUDGE_FIELDS, pair_query, preference, rating, rating_query, verdict
from suffice.errors import SufficeError
from suffice.plans.learning.pace import DAY_S
from suffice.plans.shadow.base import Ask
from suffice.types import Answer, Feedback, Options, Query, Record

_log = logging.getLogger(__name__)

MOST_OPEN: Final = 16
"""Ratings under way at once; while there are more, none is begun."""


class Spent(msgspec.Struct):
    """On a day (UTC)."""

    day: int = 0
    usd: float = 0.0


class Rater:
    """Rates an answer by itself, 1 to 10, or beside another candidate's answer, in both orders."""

    def __init__(self, judge: str, *, share: float, usd_per_day: float, against: str | None = None) -> None:
        """
        Parameters
        ----------
        judge : the name of a candidate
        against : another one, asked the same: an answer as good as its answer or better earns 1, a worse
            one 0, one that is worse in one order alone 0.5; a verdict that turns with the order counts for
            nothing. None rates each answer alone
        share : of answers that are rated, drawn without a look at them
        usd_per_day : once so much is spent, none is begun
        """
        self.judge, self._against = judge, against
        self.spent = Spent()
        self._share, self._usd_per_day = share, usd_per_day
        self._random = random.Random()
        self._tasks: set[asyncio.Task[None]] = set()

    def rate(
        self,
        query: Query,
        answer: Answer,
        record: Record,
        ask: Ask,
        tell: Callable[[Feedback], Awaitable[None]],
    ) -> None:
        """Throw the coin, and rate the answer in the background."""
        if not self._random.random() < self._share or len(self._tasks) >= MOST_OPEN:
            return
        self._turn(record.created_at)
        if self.spent.usd >= self._usd_per_day or not answer.content or answer.candidate == self._against:
            return
        task = asyncio.ensure_future(self._rate(query, answer, record, ask, tell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def paid(self, cost_usd: float, at: float) -> None:
        """What a rating cost, here or in another process."""
        self._turn(at)
        if int(at // DAY_S) == self.spent.day:
            self.spent.usd += cost_usd

    async def settled(self) -> None:
        """Returns once no rating is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self, within_s: float = 5.0) -> None:
        """Let ratings end, for a while."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _rate(
        self,
        query: Query,
        answer: Answer,
        record: Record,
        ask: Ask,
        tell: Callable[[Feedback], Awaitable[None]],
    ) -> None:
        try:
            value = await self._value(query, answer, ask)
            if value is None:
                _log.warning("the judge %s gave no rating of %s", self.judge, record.id)
                return
            word = Feedback(
                record_id=record.id,
                tenant=record.tenant,
                created_at=time.time(),
                name="judge",
                value=value,
            )
            await tell(word)
        except SufficeError as error:
            _log.warning("an answer was not rated: %s", error)
        except Exception as error:  # the outermost edge of this task
            _log.error("a rating failed with %s", type(error).__name__)

    async def _value(self, query: Query, answer: Answer, ask: Ask) -> float | None:
        if self._against is None:
            return rating(await self._says(rating_query(query.text, answer.content), ask))
        other = (await ask(self._against, query, Options())).content
        straight = await self._says(pair_query(query.text, other, answer.content), ask)
        swapped = await self._says(pair_query(query.text, answer.content, other), ask)
        if verdict(straight) == verdict(swapped) != "C":  # it likes a place
            return None
        wish = preference(straight, swapped)
        return None if wish is None else min(2 * wish, 1.0)

    async def _says(self, asked: Query, ask: Ask) -> str:
        return (await ask(self.judge, asked, Options(fields=JUDGE_FIELDS))).content

    def _turn(self, at: float) -> None:
        day = int(at // DAY_S)
        if day > self.spent.day:
            self.spent = Spent(day=day)
