"""A classification asked for a bare label: its first token's probabilities are those of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from suffice.errors import ProviderError
from suffice.plans.probes.base import Caller, Evidence, Said
from suffice.types import Query

VERSION: Final = 1
_PROMPT: Final = """\
{question}

Reply with exactly one of these labels and nothing else: {labels}."""
_TOP: Final = 20


class LabelProbability:
    """One call; without labels there is nothing to ask."""

    name = "label_probability"
    after: tuple[str, ...] = ()

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        if not so_far.labels:
            raise ProviderError("the question has no set of labels")
        question = _PROMPT.format(question=so_far.question, labels=", ".join(so_far.labels))
        return [await caller(question, max_tokens=12, top=_TOP)]
