"""Forward-looking active retrieval: an unsure sentence is looked up before it is written.

References
----------
Jiang et al. (2023), Active Retrieval Augmented Generation (FLARE), arXiv 2305.06983, section 3.2: a token of
the next sentence below a probability of 0.8 triggers, tokens below 0.4 are masked from the query. Departures:
marks of punctuation do not trigger; whole words are masked, those of the question never; a query of which
that leaves less than two words is the question's; what a look-up led to is not looked up again.
"""

from __future__ import annotations

from collections.abc import Sequence

from suffice.plans.drafting import DraftingPlan, Unsure, probability
from suffice.plans.sentences import by_word, content_words, joined, sentences
from suffice.retrieval.words import words
from suffice.types import TokenLogprob


class Flare(DraftingPlan):
    """The plan `flare`."""

    name = "flare"

    def __init__(
        self,
        corpus: str = "corpus.db",
        retriever: str = "fts5",
        k: int = 3,
        max_lookups: int = 3,
        max_tokens: int = 256,
        threshold: float = 0.8,
        mask_below: float = 0.4,
    ) -> None:
        """
        Parameters
        ----------
        corpus, retriever, k, max_lookups, max_tokens : as of `RetrievalPlan`
        threshold : a token less probable makes its sentence unsure
        mask_below : words with a token less probable are not looked for

        Raises
        ------
        ValueError
            If one of them is no probability.
        """
        if not 0 <= mask_below <= 1 or not 0 <= threshold <= 1:
            raise ValueError("threshold and mask_below are probabilities")
        super().__init__(corpus, retriever, k, max_lookups, max_tokens)
        self.threshold, self.mask_below = threshold, mask_below

    def trigger(self, tokens: Sequence[TokenLogprob], question: str) -> Unsure | None:
        """The start of the first unsure sentence, and what of it is sure enough to be looked for."""
        n_before = 0
        for sentence in sentences(tokens):
            spoken = [probability(one) for one in sentence if any(map(str.isalnum, one.token))]
            if spoken and min(spoken) < self.threshold:
                query = self._masked(sentence, question)
                return Unsure(n_before, query if len(content_words(query)) > 1 else question)
            n_before += len(sentence)
        return None

    def _masked(self, sentence: Sequence[TokenLogprob], question: str) -> str:
        """Its words whose tokens are all likely enough, or that stand in the question."""
        known, kept = set(words(question)), []
        for word in by_word(sentence):
            text = joined(word).strip()
            if min(map(probability, word)) >= self.mask_below or set(words(text)) <= known:
                kept.append(text)
        return " ".join(kept)
