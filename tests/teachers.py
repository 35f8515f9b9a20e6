"""A panel for tests of distillation: models that answer by rule, in a file that any process can load."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

from suffice.types import Answer, Candidate, Chunk, Options, Query, TokenLogprob, Usage

PANEL = f"""
models:
  - {{name: teacher, provider: '{Path(__file__)}:Rule', model: teacher, may_train_on_output: true,
     input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}}
  - {{name: judge, provider: '{Path(__file__)}:Rule', model: judge,
     input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}}
  - {{name: yesman, provider: '{Path(__file__)}:Rule', model: yesman,
     input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}}
  - {{name: mute, provider: '{Path(__file__)}:Rule', model: mute,
     input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}}
  - {{name: unsaid, provider: '{Path(__file__)}:Rule', model: teacher,
     input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}}
  - {{name: forbidden, provider: '{Path(__file__)}:Rule', model: teacher, may_train_on_output: false,
     input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}}
"""


def draw(*parts: Any) -> float:
    """In [0, 1), always the same for the same parts."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=4).digest()) / 2**32


def truth(question: str) -> str:
    """The right answer to "gold rises 3 %" and the like."""
    return "up" if re.search(r"ris|gain|climb", question) else "down"


class Rule:
    """`teacher` is right four times of five; `judge` finds most errors, `yesman` none; `mute` is mute."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate

    @classmethod
    def from_config(cls, candidate: Candidate, settings: Any, http: Any) -> Rule:
        return cls(candidate)

    async def answer(self, query: Query, options: Options) -> Answer:
        await asyncio.sleep(0)
        seed = options.fields.get("seed", 0)
        text = getattr(self, f"_{self.candidate.model}")(query, seed)
        usage = Usage(prompt_tokens=20, completion_tokens=2)
        return Answer(
            content=text,
            candidate=self.candidate.name,
            usage=usage,
            cost_usd=self.candidate.price.cost_usd(usage) or Decimal(0),
            latency_s=0.25,
            finish_reason="stop",
            logprobs=(TokenLogprob(text, -0.1, ((text, -0.1),)),) if options.wants_logprobs else None,
        )

    def _teacher(self, query: Query, seed: int) -> str:
        text = query.text
        if "refuse" in text:
            return "I'm sorry, but I can't help with that."
        right = truth(text)
        wrong = {"up": "down", "down": "up"}[right]
        return f"<think>hm</think>Answer: {right if draw(text, seed) < 0.8 else wrong}"

    def _judge(self, query: Query, seed: int) -> str:
        question = re.search(r"\[Question\]\n(.*?)\n\n\[", query.text, re.DOTALL)
        answers = re.findall(r"\[Answer(?: [AB])?\]\n(.*?)\n\[End", query.text, re.DOTALL)
        assert question is not None
        right = truth(question[1])
        if len(answers) == 2:
            return "[[A]]" if right in answers[0] else "[[B]]"
        is_right = right in answers[0]
        passes = draw(query.text, seed) < (0.9 if is_right else 0.2)
        return "Rating: [[9]]" if passes else "Rating: [[2]]"

    def _yesman(self, query: Query, seed: int) -> str:
        return "Rating: [[10]]"

    def _mute(self, query: Query, seed: int) -> str:
        return "Quite a good answer."

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        raise AssertionError("nobody streams here")
        yield

    async def close(self) -> None:
        return None
