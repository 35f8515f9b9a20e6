"""HumanEval and MBPP: run the response's function against the task's tests, fenced in."""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from suffice.datasets.sandbox import FENCE, python_source, run_python

_MAX_CHARS: Final = 20_000
_CPU_S: Final = 5
_WALL_S: Final = 10.0
_MEMORY_MB: Final = 512


class CodeReference(msgspec.Struct, frozen=True, kw_only=True):
    """The reference of a coding task, as JSON."""

    tests: str
    """`assert` statements; fail by raising."""
    setup: str = ""
    """Runs before the response: imports, helpers; of HumanEval the whole prompt."""
    entry: str = ""
    """The function that is asked for, where the prompt names it."""


class Code:
    """1 where every test passes (pass@1 of one sample).

    A response may hold the whole function, fenced or not, or only go on where the prompt's function
    stopped.

    References
    ----------
    Chen et al. (2021), Evaluating Large Language Models Trained on Code, section 2.
    """

    def score(self, response: str, reference: str) -> float:
        task = _read(reference)
        source = _program(response[:_MAX_CHARS], task)
        passed = bool(source) and run_python(
            source, task.tests, cpu_s=_CPU_S, wall_s=_WALL_S, memory_mb=_MEMORY_MB
        )
        return float(passed)


def _read(reference: str) -> CodeReference:
    """JSON of a CodeReference; any other text is the tests alone."""
    if reference.lstrip().startswith("{"):
        try:
            return msgspec.convert(json.loads(reference), CodeReference)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the reference is no coding task: {error}") from error
    return CodeReference(tests=reference)


def _program(response: str, task: CodeReference) -> str:
    source = python_source(response)
    if source and (not task.entry or re.search(rf"\b{re.escape(task.entry)}\b", source)):
        return f"{task.setup}\n{source}\n"
    if not task.entry:
        return ""
    fence = FENCE.search(response)
    body = fence[1] if fence else response
    if not body.strip():
        return ""
    if not body[0].isspace():  # the first line's indent is often lost on the way
        body = f"    {body}"
    return f"{task.setup.rstrip()}\n{body}\n"
