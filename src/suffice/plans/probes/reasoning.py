"""The question worked out step by step, then the steps checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from suffice.plans.probes.base import TOP, Caller, Evidence, Said
from suffice.types import Query

VERSION: Final = 1
_STEPS: Final = """\
Question: {question}

Think step by step, in at most five short numbered steps. Then write the final answer on the last line as \
"Answer: ..."."""
_CHECK: Final = """\
Now check your steps one by one. For every step write one line, "Step 1: correct" or "Step 1: incorrect", \
and nothing else."""


class ForcedReasoning:
    """Two calls: the steps with their own answer, and a verdict on each."""

    name = "forced_reasoning"
    after: tuple[str, ...] = ()

    def __init__(self, max_tokens: int = 300) -> None:
        self.max_tokens = max_tokens

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        """The steps, then the verdicts."""
        question = _STEPS.format(question=so_far.question)
        steps = await caller(question, max_tokens=self.max_tokens, top=TOP)
        verdict = await caller(
            [
                {"role": "user", "content": question},
                {"role": "assistant", "content": steps.text or "Answer: unknown"},
                {"role": "user", "content": _CHECK},
            ],
            max_tokens=80,
        )
        return [steps, verdict]
