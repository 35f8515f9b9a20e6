"""A model whose every call is journalled, within the budget and retried; what the journal has is free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from suffice.datasets.asking import Asker, Unanswered
from suffice.errors import ProviderError, ProviderRejected
from suffice.protocols import Model
from suffice.types import Answer, Candidate, Chunk, Options, Query, Usage


class AskedModel:
    """Wraps a model: many calls may be wanted at once, a limited number is under way."""

    def __init__(self, model: Model, asker: Asker, gate: asyncio.Semaphore) -> None:
        self._model, self._asker, self._gate = model, asker, gate

    @property
    def candidate(self) -> Candidate:
        return self._model.candidate

    async def answer(self, query: Query, options: Options) -> Answer:
        """As the model, or as the journal has it.

        Raises
        ------
        ProviderRejected
            If the provider found the request at fault.
        ProviderError
            If there is no answer for another reason: the message begins with `OVER_BUDGET` where the
            budget forbade the call.
        """
        async with self._gate:
            said = await self._asker.ask(self._model, query, options.fields)
        if isinstance(said, Unanswered):
            kind = ProviderRejected if said.reason.startswith(ProviderRejected.__name__) else ProviderError
            raise kind(said.reason)
        return Answer(
            content=said.content,
            candidate=self.candidate.name,
            usage=Usage(prompt_tokens=said.prompt_tokens, completion_tokens=said.completion_tokens),
            cost_usd=said.cost_usd,
            latency_s=said.latency_s or 0.0,
            finish_reason=said.finish_reason,
            logprobs=said.logprobs,
            no_logprobs=said.no_logprobs,
        )

    def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        """Not journalled: as the model."""
        return self._model.stream(query, options)

    async def close(self) -> None:
        """The wrapped model belongs to whoever made it."""
