"""What other models answer: agreement between different models is harder to come by than with oneself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from suffice.plans.probes.base import Caller, Effort, Evidence, Said
from suffice.protocols import Model
from suffice.types import Query


class OtherModels:
    """One greedy call to each of the other models."""

    name = "other_models"
    after: tuple[str, ...] = ()

    def __init__(self, models: Sequence[Model], max_tokens: int = 512) -> None:
        self.models, self.max_tokens = tuple(models), max_tokens

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        others = [caller.to(model) for model in self.models]
        said = await caller.together(
            [_named(other, query, self.max_tokens) for other in others],
        )
        caller.effort = sum((other.effort for other in others), Effort())
        return said


async def _named(caller: Caller, query: Query, max_tokens: int) -> Said:
    said = await caller(query, max_tokens=max_tokens)
    return msgspec.structs.replace(said, model=caller.model.candidate.name)
