"""What is gathered about one answer, and how a model is asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from suffice.errors import ProviderError, ProviderRejected
from suffice.protocols import Model
from suffice.types import Answer, Options, Query, TokenLogprob

TOP: Final = 5
"""Likeliest tokens asked for at every place; what most providers give."""
NO_LOGPROBS: Final = "the provider sent none"
Messages = Sequence[Mapping[str, Any]]


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a model said."""

    text: str
    tokens: tuple[TokenLogprob, ...] | None = None
    """With the logarithms of their probabilities, at temperature 1."""
    no_logprobs: str | None = None
    """Why there are no tokens, where they were wanted."""
    asked: str = ""
    """The question, where it is not the query's own: a paraphrase, a pair of answers."""
    model: str = ""
    """Who said it, where it is not the model under test."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe took. Unknown is None."""

    n_calls: int = 0
    n_tokens: int | None = 0
    """Of prompts and answers."""
    cost_usd: Decimal | None = Decimal(0)

    def __add__(self, other: Effort) -> Effort:
        return Effort(
            n_calls=self.n_calls + other.n_calls,
            n_tokens=_plus(self.n_tokens, other.n_tokens),
            cost_usd=_plus(self.cost_usd, other.cost_usd),
        )


def _plus(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was said about one query, by probe. Signals are read from it by name."""

    query_id: str
    question: str
    """What the user asks, without instructions on the form of the answer."""
    kind: str = ""
    """The metric that grades the answer: which part of an answer counts."""
    labels: tuple[str, ...] = ()
    """Of a classification: what may be answered."""
    said: Mapping[str, tuple[Said, ...]] = {}
    missing: Mapping[str, str] = {}
    """Probe -> why it brought nothing, or not all."""
    effort: Mapping[str, Effort] = {}

    def first(self, probe: str) -> Said | None:
        """What the probe heard first."""
        said = self.said.get(probe, ())
        return said[0] if said else None

    def all(self, probe: str) -> tuple[Said, ...]:
        return self.said.get(probe, ())

    def with_probe(self, probe: str, said: Sequence[Said], missing: str | None, effort: Effort) -> Evidence:
        """The same and one more probe."""
        return msgspec.structs.replace(
            self,
            said={**self.said, probe: tuple(said)},
            missing={**self.missing, **({probe: missing} if missing else {})},
            effort={**self.effort, probe: effort},
        )


class Probe(Protocol):
    """One way of asking."""

    name: str
    after: tuple[str, ...]
    """Probes whose findings it builds on."""

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        """Ask for what is wanted.

        Raises
        ------
        ProviderError
            If a call without which nothing can be said failed.
        """
        ...


class Caller:
    """Calls one model for one probe, and counts what that takes."""

    def __init__(self, model: Model, fields: Mapping[str, Any], timeout_s: float | None = None) -> None:
        """
        Parameters
        ----------
        fields : of every request, over the probe's own; None takes one out
        """
        self.model, self._fields, self._timeout_s = model, fields, timeout_s
        self.effort = Effort()
        self.failures: list[str] = []
        """Of calls that a probe could do without."""

    async def __call__(
        self,
        asked: Query | str | Messages,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        top: int = 0,
        note: str = "",
    ) -> Said:
        """One call.

        Parameters
        ----------
        top : likeliest tokens wanted at every place; 0: no logprobs. A model that refuses a request for
            them is asked again without
        note : kept as `Said.asked`

        Raises
        ------
        ProviderError
            If it failed.
        """
        query = _query(asked)
        fields: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        if seed is not None:
            fields["seed"] = seed
        if not top:
            return _said(await self._answer(query, fields), note, False)
        if not self.model.candidate.allows("logprobs"):
            answer = await self._answer(query, fields)
            return _said(answer, note, True, "the model is known to give none")
        try:
            answer = await self._answer(query, {**fields, "logprobs": True, "top_logprobs": top})
        except ProviderRejected as error:
            return _said(await self._answer(query, fields), note, True, str(error))
        return _said(answer, note, True)

    def to(self, model: Model) -> Caller:
        """The same for another model, with an effort of its own."""
        return Caller(model, self._fields, self._timeout_s)

    async def together(self, calls: Sequence[Coroutine[Any, Any, Said]]) -> list[Said]:
        """Those that succeed, in order.

        Raises
        ------
        ProviderError
            If none did.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._kept(call)) for call in calls]
        found = [task.result() for task in tasks]
        errors = [one for one in found if isinstance(one, ProviderError)]
        if len(errors) == len(found) and errors:
            raise errors[0]
        self.failures += [str(error) for error in errors]
        return [one for one in found if isinstance(one, Said)]

    async def _kept(self, call: Coroutine[Any, Any, Said]) -> Said | ProviderError:
        try:
            return await call
        except ProviderError as error:
            return error

    async def _answer(self, query: Query, fields: Mapping[str, Any]) -> Answer:
        merged = {key: value for key, value in {**fields, **self._fields}.items() if value is not None}
        answer = await self.model.answer(query, Options(fields=merged, timeout_s=self._timeout_s))
        self.effort += Effort(n_calls=1, n_tokens=answer.usage.total_tokens, cost_usd=answer.cost_usd)
        return answer


def _query(asked: Query | str | Messages) -> Query:
    if isinstance(asked, Query):
        return asked
    return Query(text=asked) if isinstance(asked, str) else Query.from_messages(asked)


def _said(answer: Answer, note: str, is_wanted: bool, why: str | None = None) -> Said:
    tokens = answer.logprobs if is_wanted else None
    reason = why or answer.no_logprobs or NO_LOGPROBS
    return Said(
        text=answer.content,
        tokens=tokens or None,
        no_logprobs=reason if is_wanted and not tokens else None,
        asked=note,
    )
