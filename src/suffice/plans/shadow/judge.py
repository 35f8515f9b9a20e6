"""A candidate rates both answers."""

from __future__ import annotations

from suffice.datasets.judging import JUDGE_FIELDS, rating, rating_query
from suffice.plans.shadow.agreement import agree
from suffice.plans.shadow.base import Ask
from suffice.types import Answer, Options, Query


class Judge:
    """Each answer is rated by itself, 1 to 10, and the drop is the difference, brought to [-1, 1].

    The promise is then watched in the judge's eyes: certify it on that judge's ratings too. Answers that
    agree are not rated.
    """

    def __init__(self, *, judge: str) -> None:
        """
        Parameters
        ----------
        judge : the name of a candidate
        """
        self.judge = judge

    async def drop(self, query: Query, weak: Answer, strong: Answer, ask: Ask) -> float | None:
        """None where the judge gave no rating."""
        if agree(weak, strong):
            return 0.0
        rated = [await self._rate(query, answer, ask) for answer in (strong, weak)]
        if rated[0] is None or rated[1] is None:
            return None
        return rated[0] - rated[1]

    async def _rate(self, query: Query, answer: Answer, ask: Ask) -> float | None:
        asked = rating_query(query.text, answer.content)
        said = await ask(self.judge, asked, Options(fields=JUDGE_FIELDS))
        return rating(said.content)
