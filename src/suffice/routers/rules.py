"""Rules before predictions: arms that a rule rules out score 0, whatever another router thinks of them.

The same rules stand in `suffice.yaml` as hard constraints of a pipeline, where they also refuse; as a
router they can be compared with others on recorded outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from suffice.protocols import Embedder
from suffice.routers.ruleset import RuleSet
from suffice.routers.wrapping import Wrapper
from suffice.types import FloatArray, Query


class Rules(Wrapper):
    """The inner router's scores, and 0 for what the rules do not allow."""

    name = "rules"
    not_in_all = "it needs rules of your own"

    def __init__(
        self,
        *,
        rules: Sequence[Mapping[str, Any]],
        inner: str = "strongest",
        inner_params: Mapping[str, Any] | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        """
        Parameters
        ----------
        rules : each with `use` or `avoid` (names of arms) and `when`: any of keywords, regex, tags, needs,
            min_characters, max_characters
        inner : the router that scores what is left
        inner_params : its parameters
        """
        self.rules, self.inner, self.inner_params = list(rules), inner, dict(inner_params or {})
        self.embedder = embedder

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        rules = RuleSet(self.rules)
        rules.check(self.inner_.arms)
        scores = np.array(self.inner_.scores(queries))
        for row, query in zip(scores, queries, strict=True):
            row[~rules.allowed(query, self.inner_.arms)[0]] = 0
        return scores

    def _evidence(self, query: Query) -> tuple[str, ...]:
        matched = RuleSet(self.rules).allowed(query, self.inner_.arms)[1]
        said = f"matched: {', '.join(matched)}" if matched else "no rule matches"
        return (said, *super()._evidence(query))
