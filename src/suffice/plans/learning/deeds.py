"""What people do with an answer, as far as requests show it: they have it written again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from suffice.errors import SufficeError
from suffice.types import Feedback, Query, Record

_log = logging.getLogger(__name__)

MOST: Final = 10_000
"""Conversations that are remembered."""


class Deeds:
    """The same messages again, by the same user or in the same session, soon after an answer: feedback
    `regenerate` on that answer. Whoever names neither cannot be told from others who ask the same."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._answered: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        """By conversation: the record and when it ended."""
        self._tasks: set[asyncio.Task[None]] = set()

    def saw(self, query: Query, record: Record, tell: Callable[[Feedback], Awaitable[None]]) -> None:
        """A request that was answered."""
        if not (query.user or query.session):
            return
        of = [record.tenant, record.key_id, query.user, query.session, query.chat()]
        key = hashlib.blake2b(msgspec.json.encode(of), digest_size=16).digest()
        before = self._answered.pop(key, None)
        self._answered[key] = (record.id, record.created_at + record.latency_s)
        if len(self._answered) > MOST:
            self._answered.popitem(last=False)
        if before is not None and 0 <= record.created_at - before[1] <= self._within_s:
            word = Feedback(
                record_id=before[0],
                tenant=record.tenant,
                created_at=record.created_at,
                name="regenerate",
                value=1.0,
            )
            task = asyncio.ensure_future(_say(word, tell))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Returns once all is told."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


async def _say(word: Feedback, tell: Callable[[Feedback], Awaitable[None]]) -> None:
    try:
        await tell(word)
    except SufficeError as error:
        _log.warning("that %s was regenerated is not kept: %s", word.record_id, error)
