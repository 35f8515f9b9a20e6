"""Look up at the word that the model wavers at, and write on from it.

References
----------
Su et al. (2024), DRAGIN: Dynamic Retrieval Augmented Generation based on the Real-time Information Needs of
LLMs, arXiv 2403.10081, sections 3.1 and 3.2. There a token triggers by entropy times the attention that it
gets, and the query is the words attended to most. Departure: no API tells attention. Here a token triggers
by entropy alone, over the alternatives that are told (at most 5, made to sum to 1), in words that mean
something; the query is the question's words and the latest ones before that token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from suffice.plans.drafting import DraftingPlan, Unsure
from suffice.plans.sentences import content_words, joined
from suffice.retrieval.words import STOP_WORDS
from suffice.types import TokenLogprob

_LATEST: Final = 12
"""Words before the token that are looked for."""


class Dragin(DraftingPlan):
    """The plan `dragin`."""

    name = "dragin"

    def __init__(
        self,
        corpus: str = "corpus.db",
        retriever: str = "fts5",
        k: int = 3,
        max_lookups: int = 3,
        max_tokens: int = 256,
        threshold: float = 0.8,
    ) -> None:
        """
        Parameters
        ----------
        corpus, retriever, k, max_lookups, max_tokens : as of `RetrievalPlan`
        threshold : of the entropy, in nats; of 5 alternatives it is at most 1.61

        Raises
        ------
        ValueError
            If it is below 0.
        """
        if threshold < 0:
            raise ValueError("threshold is at least 0")
        super().__init__(corpus, retriever, k, max_lookups, max_tokens)
        self.threshold = threshold

    def trigger(self, tokens: Sequence[TokenLogprob], question: str) -> Unsure | None:
        """The first token of a meaningful word with more entropy than the threshold."""
        for place, token in enumerate(tokens):
            bare = token.token.strip().casefold()
            if any(map(str.isalnum, bare)) and bare not in STOP_WORDS and entropy(token) > self.threshold:
                before = content_words(joined(tokens[:place]))[-_LATEST:]
                query = dict.fromkeys([*content_words(question), *before])
                return Unsure(place, " ".join(query) or question)
        return None


def entropy(token: TokenLogprob) -> float:
    """In nats, over the alternatives that were told; 0 where none were.

    Examples
    --------
    >>> round(entropy(TokenLogprob("a", -0.69, (("a", -0.69), ("b", -0.69)))), 4)
    0.6931
    """
    chances = [math.exp(min(logprob, 0.0)) for _, logprob in token.top]
    whole = sum(chances)
    shares = [chance / whole for chance in chances if chance > 0]
    return -sum(share * math.log(share) for share in shares)
