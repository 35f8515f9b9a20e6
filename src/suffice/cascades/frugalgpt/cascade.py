"""FrugalGPT as a cascade: a chain of arms, an accept rule after each, the last always believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.cascades.artefact import blamed, read_cascade, write_cascade
from suffice.cascades.base import Move, Seen, accept, ask, can_pay, last_spoken
from suffice.cascades.frugalgpt.optimiser import Chain, Wish, best_chains, played
from suffice.cascades.frugalgpt.reader import READER, TextScorer
from suffice.cascades.frugalgpt.scorer import AnswerScorer
from suffice.cascades.goal import Goal
from suffice.cascades.play import Played
from suffice.cascades.recorded import Recorded
from suffice.errors import ConfigError, DataError, NotFitted
from suffice.protocols import Embedder, Router
from suffice.types import FloatArray, Query


class FrugalGPT:
    """The chain of up to `max_length` arms that is best within a budget, over all orders.

    Answers are trusted by a learnt scorer of query and answer, or by a confidence signal. Thresholds are
    chosen on scores of answers whose queries the scorer had not seen.

    References
    ----------
    Chen et al. (2023), FrugalGPT, arXiv 2305.05176, section 3.
    """

    name: ClassVar[str] = "frugalgpt"
    arms: tuple[str, ...]
    signals: tuple[str, ...]
    scorer_: AnswerScorer | TextScorer | None
    chain_: Chain

    def __init__(
        self,
        *,
        signal: str | None = None,
        max_length: int = 3,
        seed: int = 0,
        embedder: Embedder | None = None,
        reader: Router | None = None,
    ) -> None:
        """
        Parameters
        ----------
        signal : trusted in the scorer's place, which is then not learnt
        max_length : 1 to 4
        embedder : for the scorer
        reader : in the scorer's place: a router, such as a fine-tuned encoder, trained on query and answer as
            one text
        """
        if not 1 <= max_length <= 4:
            raise ConfigError(f"frugalgpt's max_length is {max_length}; 1 to 4 is needed")
        self.signal, self.max_length, self.seed = signal, max_length, seed
        self.embedder, self.reader = embedder, reader
        self.signals = () if signal is None else (signal,)
        self.arms = ()

    def fit(
        self, recorded: Recorded, *, budget_usd: float | None = None, value_usd: float | None = None
    ) -> Self:
        """Learn from recorded answers; queries without every arm's quality and cost are left out.

        Raises
        ------
        DataError
            If no query is left, there are no texts to learn a scorer from, or nothing keeps to the budget.
        """
        goal = Goal(budget_usd, value_usd)
        if not goal.is_given:
            raise ConfigError("frugalgpt is fitted for a budget_usd or a value_usd: give one")
        (found,) = self.frontier(recorded, [Wish(budget_usd, value_usd)])
        if found is None:
            least = float(recorded.complete().cost_usd.mean(axis=0).min())
            raise DataError(f"budget_usd is {budget_usd}: the cheapest arm alone costs {least:.3g} a query")
        self.arms, self.scorer_, self.chain_ = found.arms, found.scorer_, found.chain_
        return self

    def frontier(self, recorded: Recorded, wishes: Sequence[Wish]) -> list[Self | None]:
        """One fitted cascade per wish, from one scorer; None where no chain keeps to the budget."""
        table = recorded.complete()
        if not table.n_queries:
            raise DataError(f"no query has quality and cost of every arm ({', '.join(recorded.arms)})")
        scorer: AnswerScorer | TextScorer | None = None
        if self.signal is None:
            if table.responses is None or (self.embedder is None and self.reader is None):
                raise DataError("frugalgpt learns from the answers' texts, with an embedder: give both")
            texts = [query.text for query in table.queries]
            if self.reader is not None:
                scorer = TextScorer(self.reader, seed=self.seed)
            else:
                scorer = AnswerScorer(self.embedder, seed=self.seed)
            trust = scorer.fit(texts, table.arms, table.responses, table.quality).held_out_
        else:
            trust = _known(table.signal(self.signal))
        found = best_chains(
            table.quality,
            table.cost_usd,
            trust,
            wishes,
            reading_cost_usd=None if self.signal is None else table.reading_cost_usd[self.signal],
            max_length=self.max_length,
        )
        return [None if chain is None else self._with(table.arms, scorer, chain) for chain in found]

    def reads(self, arm: int) -> tuple[str, ...]:
        """The last answer of the chain is always believed."""
        return () if arm == self.chain_.arms[-1] else self.signals

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """See `Cascade.next`; a router's scores play no part."""
        self._check_fitted()
        if not seen:
            return ask(self.chain_.arms[0], "the first of the chain")
        stage = self.chain_.arms.index(seen[-1].arm)
        if stage == len(self.chain_.arms) - 1:
            return accept(last_spoken(seen), "the last of the chain")
        trust, threshold = self._trust(query, seen[-1]), self.chain_.thresholds[stage]
        if trust >= threshold:
            return accept(len(seen) - 1, f"trusted with {trust:.3f}, enough from {threshold:.3f} on")
        following = self.chain_.arms[stage + 1]
        if not can_pay(query, costs_usd, seen, following):
            return accept(last_spoken(seen), f"{self.arms[following]} would cost more than is allowed")
        return ask(following, f"trusted with {trust:.3f}, under {threshold:.3f}")

    def sweep(self, recorded: Recorded) -> Played:
        """What `play` gives, all queries at once."""
        self._check_fitted()
        table = recorded.select(arms=self.arms)
        if self.scorer_ is not None:
            assert table.responses is not None
            trust = self.scorer_.scores([query.text for query in table.queries], table.responses)
        else:
            assert self.signal is not None
            trust = _known(table.signal(self.signal))
        found = []
        for alone, extra in (
            (table.cost_usd, table.reading_cost_usd),
            (table.latency_s, table.reading_latency_s),
            (np.ones_like(table.cost_usd), {}),
        ):
            read = alone if self.signal is None else alone + extra.get(self.signal, 0.0)
            found.append(played(self.chain_, table.quality, alone, read, trust))
        (chosen, quality, paid), (*_, seconds), (*_, calls) = found
        asked = np.zeros(table.quality.shape, np.bool_)
        for place, arm in enumerate(self.chain_.arms):
            asked[:, arm] = calls > place
        return Played(chosen, quality, paid, seconds, calls.astype(np.intp), asked)

    def save(self, directory: Path) -> None:
        self._check_fitted()
        chain = {
            "arms": self.chain_.arms,
            "thresholds": [repr(one) for one in self.chain_.thresholds],  # JSON knows no infinity
            "quality": self.chain_.quality,
            "cost_usd": self.chain_.cost_usd,
        }
        params = {"signal": self.signal, "max_length": self.max_length, "seed": self.seed}
        facts: dict[str, Any] = {"params": params, "arms": self.arms, "chain": chain, "scorer": None}
        arrays: dict[str, NDArray[Any]] = {}
        if isinstance(self.scorer_, TextScorer):
            facts["scorer"] = self.scorer_.save(directory)
        elif self.scorer_ is not None:
            arrays, facts["scorer"] = self.scorer_.state()
        write_cascade(directory, self.name, facts, arrays)

    @classmethod
    def load(cls, directory: Path, *, embedder: Embedder | None = None, reader: Router | None = None) -> Self:
        """As saved; with a scorer it needs the embedder that it was fitted with, or the reader of `reader/`.

        Raises
        ------
        ArtefactError
            If it is missing, damaged, of another version or needs another embedder.
        """
        facts, arrays = read_cascade(directory, cls.name)
        with blamed(directory, cls.name):
            blank = cls(**facts["params"], embedder=embedder, reader=reader)
            scorer: AnswerScorer | TextScorer | None = None
            if facts["scorer"] is not None and facts["scorer"].get("kind") == READER:
                scorer = TextScorer.restored(reader, facts["scorer"], blank.seed)
            elif facts["scorer"] is not None:
                scorer = AnswerScorer(embedder, seed=blank.seed).restore(arrays, facts["scorer"])
            arms, chain = msgspec.convert(facts["arms"], tuple[str, ...]), facts["chain"]
            places = msgspec.convert(chain["arms"], tuple[int, ...])
            thresholds = tuple(float(one) for one in chain["thresholds"])
            is_whole = len(thresholds) == len(places) - 1 and set(places) <= set(range(len(arms)))
            if not is_whole or len(set(places)) < len(places):
                raise ValueError(f"the chain {places} with {len(thresholds)} thresholds is none")
            return blank._with(
                arms, scorer, Chain(places, thresholds, float(chain["quality"]), float(chain["cost_usd"]))
            )

    def _with(self, arms: tuple[str, ...], scorer: AnswerScorer | TextScorer | None, chain: Chain) -> Self:
        found = type(self)(
            signal=self.signal,
            max_length=self.max_length,
            seed=self.seed,
            embedder=self.embedder,
            reader=self.reader,
        )
        found.arms, found.scorer_, found.chain_ = arms, scorer, chain
        return found

    def _trust(self, query: Query, one: Seen) -> float:
        if self.scorer_ is not None:
            return self.scorer_.score(query.text, one.arm, one.text)
        assert self.signal is not None
        reading = one.readings.get(self.signal)
        return -1.0 if reading is None or math.isnan(reading) else float(reading)

    def _check_fitted(self) -> None:
        if not self.arms:
            raise NotFitted(f"the cascade {self.name!r}")


def _known(readings: FloatArray) -> FloatArray:
    """A missing reading says nothing for an answer: under every other."""
    return np.where(np.isnan(readings), -1.0, readings)
