"""Whether both models gave the same final answer."""

from __future__ import annotations

from typing import Any, Final

from suffice.datasets.grading import answered_number, extract_answer, normalised_text
from suffice.plans.shadow.base import Ask
from suffice.types import Answer, Query

_SHORT: Final = 8
"""Words up to which an answer is taken for nothing but its number."""


class Agreement:
    """The same final answer loses nothing, another one counts as a full loss unless a judge is named.

    That is the worst that can be: the strong model right, the cheap one wrong. So the alarm comes early
    rather than late, and for free text, which two models never write alike, it comes without cause: name a
    judge there.
    """

    def __init__(self, *, judge: str | None = None) -> None:
        """
        Parameters
        ----------
        judge : the name of a candidate that rates answers that differ
        """
        self.judge = judge

    async def drop(self, query: Query, weak: Answer, strong: Answer, ask: Ask) -> float | None:
        """0, 1, or what the judge says."""
        if agree(weak, strong):
            return 0.0
        if self.judge is None:
            return 1.0
        from suffice.plans.shadow.judge import Judge

        return await Judge(judge=self.judge).drop(query, weak, strong, ask)


def agree(one: Answer, other: Answer) -> bool:
    """The same tool calls, and the same text after "Answer:", but for case, punctuation and articles.

    Of short answers only the number counts, where both have one.

    Examples
    --------
    >>> one, other = (Answer(content=c, candidate="m") for c in ("6 * 7 = 42. Answer: 42", "It is 42"))
    >>> agree(one, other)
    True
    """
    if _calls(one) != _calls(other):
        return False
    texts = [extract_answer(answer.content) for answer in (one, other)]
    numbers = [answered_number(text) for text in texts]
    if numbers[0] != numbers[1]:
        return False
    if numbers[0] is not None and all(len(text.split()) <= _SHORT for text in texts):
        return True
    return normalised_text(texts[0]) == normalised_text(texts[1])


def _calls(answer: Answer) -> list[Any]:
    return [call.get("function") for call in answer.tool_calls]
