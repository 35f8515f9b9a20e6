"""One call to one model: within the budget, journalled, retried."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from suffice.catalogue import cost_ceiling_usd
from suffice.datasets.budget import Budget
from suffice.datasets.journal import Answered, Journal, call_id
from suffice.errors import (
    CatalogueError,
    ConfigError,
    ContextOverflow,
    ProviderAuthError,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
)
from suffice.protocols import Model
from suffice.types import Answer, Options, Query

_log: Final = logging.getLogger(__name__)
_UNBILLED: Final = (
    ProviderRejected, ContextOverflow, ProviderAuthError, ProviderRateLimited, ProviderUnavailable,
)  # fmt: skip
"""Failures before any work was done. Others, such as a timeout, may be billed."""
_LONGEST_WAIT_S: Final = 60.0
_GRACE_S: Final = 10.0
"""So long may a call under way take to end when all is stopped: it is billed anyway."""
_MOST_ALIKE: Final = 5
"""After so many refusals in the same words and no answer a model is not asked any more."""
NOT_ASKED_FOR: Final = "not asked for"
"""What providers say of logprobs that the request did not want."""
OVER_BUDGET: Final = "not asked: the budget does not allow it"


class Unanswered(msgspec.Struct, frozen=True):
    """Why there is no answer."""

    reason: str
    was_asked: bool = True


class Asker:
    """Asks models; what the journal has already is not asked again."""

    def __init__(
        self,
        journal: Journal,
        budget: Budget,
        *,
        timeout_s: float = 120.0,
        retries: int = 3,
        backoff_s: float = 0.5,
    ) -> None:
        """
        Parameters
        ----------
        timeout_s : of one call
        retries : after failures that may pass
        backoff_s : before the first retry; doubled each time, with jitter
        """
        self.journal, self.budget = journal, budget
        self._timeout_s, self._retries, self._backoff_s = timeout_s, retries, backoff_s
        self._refused: dict[str, str] = {}
        self._alike: dict[str, tuple[str, int]] = {}
        self._n_under_way, self._is_stopping = 0, False

    def check(
        self, model: Model, fields: Mapping[str, Any], remedy: str = "lift the limit with --no-budget"
    ) -> None:
        """Whether calls to a model can be bounded at all.

        Parameters
        ----------
        remedy : what else may be done than to name a price

        Raises
        ------
        ConfigError
            If there is a budget and no price, or no limit on the output.
        """
        try:
            self._ceiling(model, 0, Options(fields=fields))
        except CatalogueError as error:
            raise ConfigError(f"{error}; or {remedy}") from error

    async def ask(
        self,
        model: Model,
        query: Query,
        fields: Mapping[str, Any],
        sample: int = 0,
        about: tuple[str, ...] | None = None,
    ) -> Answered | Unanswered:
        """The journal's answer, or a new one.

        Parameters
        ----------
        about : digests of the people whose data the query holds, for `journal.forget`
        """
        messages, name = list(query.chat()), model.candidate.name
        call = call_id(name, model.candidate.model, messages, fields, sample)
        if call in self.journal.answers:
            return self.journal.answers[call]
        options = Options(fields=fields, timeout_s=self._timeout_s)
        ceiling = self._ceiling(model, len(msgspec.json.encode(messages)), options)
        for retry in range(self._retries + 1):
            if name in self._refused:
                return Unanswered(self._refused[name], was_asked=False)
            if not await self.budget.reserve(ceiling):
                return Unanswered(OVER_BUDGET, was_asked=False)
            found = await self._once(model, query, options, call, ceiling, about)
            if isinstance(found, Answered):
                return found
            wait_s = self._wait_s(found, retry)
            if wait_s is None:
                break
            await asyncio.sleep(wait_s)
        return Unanswered(self.journal.errors[call])

    async def _once(
        self,
        model: Model,
        query: Query,
        options: Options,
        call: str,
        ceiling: Decimal,
        about: tuple[str, ...] | None,
    ) -> Answered | ProviderError:
        charged = ceiling  # what it counts as if it is cut off here
        self.journal.asked(call, ceiling)
        is_stopped = False
        try:
            task = asyncio.ensure_future(model.answer(query, options))
            self._n_under_way += 1
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                is_stopped = True
                self._say_stopping()
                await _ended(task)
            finally:
                self._n_under_way -= 1
            answer = await task
            charged = ceiling if answer.cost_usd is None else answer.cost_usd
            kept = _kept(answer)
            self.journal.answered(call, kept, charged, about)
            self._alike.pop(model.candidate.name, None)
            if is_stopped:
                raise asyncio.CancelledError
            return kept
        except ProviderError as error:
            charged = Decimal(0) if isinstance(error, _UNBILLED) else ceiling
            said = f"{type(error).__name__}: {error}"
            self.journal.failed(call, said, charged, about)
            self._note(model.candidate.name, error, said)
            if is_stopped:
                raise asyncio.CancelledError from None
            return error
        finally:
            self.budget.settle(ceiling, charged)

    def _say_stopping(self) -> None:
        """Once, by the first of the calls that are stopped, before any of them has ended."""
        if not self._is_stopping:
            self._is_stopping, n = True, self._n_under_way
            calls = f"{n:,} calls that are" if n > 1 else "a call that is"
            _log.warning(
                f"stopping: waiting up to {_GRACE_S:.0f} s for {calls} already paid for; "
                "Ctrl-C again ends at once, without the answers"
            )

    def _note(self, name: str, error: ProviderError, said: str) -> None:
        """Whether a failure means that no other query will fare better."""
        if isinstance(error, ProviderAuthError):
            self._refused[name] = said
        elif isinstance(error, ProviderRejected):
            before, n = self._alike.get(name, ("", 0))
            n = n + 1 if before == said else 1
            self._alike[name] = said, n
            if n >= _MOST_ALIKE:
                self._refused[name] = said

    def _ceiling(self, model: Model, prompt_bytes: int, options: Options) -> Decimal:
        """The most that a call can cost; 0 where there is no budget to keep."""
        if self.budget.limit_usd is None:
            return Decimal(0)
        return cost_ceiling_usd(
            model.candidate,
            prompt_bytes,
            options.max_tokens,
            max_compute_s=self._timeout_s * (os.cpu_count() or 1),
        )

    def _wait_s(self, error: ProviderError, retry: int) -> float | None:
        """How long until the next try; None: there is none."""
        if retry >= self._retries or not error.is_retryable:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= _LONGEST_WAIT_S else None
        wait_s: float = self._backoff_s * 2.0**retry * random.uniform(0.5, 1.0)
        return min(wait_s, _LONGEST_WAIT_S)


async def _ended(task: asyncio.Future[Answer]) -> None:
    """Wait a little for a call whose caller is stopped; then it is stopped too."""
    try:
        await asyncio.wait([task], timeout=_GRACE_S)
    finally:
        task.cancel()  # of no effect where it has ended


def _kept(answer: Answer) -> Answered:
    return Answered(
        content=answer.content,
        cost_usd=answer.cost_usd,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        latency_s=answer.latency_s,
        finish_reason=answer.finish_reason,
        logprobs=answer.logprobs,
        no_logprobs=None if answer.no_logprobs == NOT_ASKED_FOR else answer.no_logprobs,
    )
