"""What every gate is: a cascade over strategies, fitted to what a look-up and a model call may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.cascades import Move, Seen, accept, ask, read_cascade, write_cascade
from suffice.cascades.artefact import blamed
from suffice.errors import ConfigError, DataError, NotFitted
from suffice.gating.table import Strategies
from suffice.types import BoolArray, FloatArray, IntArray, Query


class Pay(msgspec.Struct, frozen=True):
    """What is given up for a call, in quality: 0.01 is one right answer more in a hundred."""

    retrieval: float = 0.0
    lm_call: float = 0.0

    def of(self, table: Strategies) -> FloatArray:
        """(n, S): of running each strategy once."""
        return self.retrieval * table.retrieval_calls + self.lm_call * table.lm_calls


@dataclass(frozen=True, eq=False)
class Walked:
    """What came of a gate on recorded queries, by query (n,)."""

    arm: IntArray
    """Whose answer was given."""
    quality: FloatArray
    retrieval_calls: FloatArray
    """Of every strategy that was run."""
    lm_calls: FloatArray

    @classmethod
    def of(cls, table: Strategies, arm: IntArray, ran: BoolArray) -> Walked:
        """From the answer given (n,) and the strategies that were run (n, S)."""
        each = np.arange(table.n_queries)
        return cls(
            arm,
            table.quality[each, arm],
            np.where(ran, table.retrieval_calls, 0.0).sum(axis=1),
            np.where(ran, table.lm_calls, 0.0).sum(axis=1),
        )


@runtime_checkable
class Gate(Protocol):
    """A fitted gate; `next` is that of `suffice.cascades.Cascade`."""

    @property
    def name(self) -> str: ...

    @property
    def arms(self) -> tuple[str, ...]: ...

    @property
    def signals(self) -> tuple[str, ...]: ...

    def fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> Self: ...

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move: ...

    def walk(self, table: Strategies, scores: FloatArray) -> Walked: ...

    def needs_retrieval(self, table: Strategies, scores: FloatArray) -> FloatArray: ...

    def save(self, directory: Path) -> None: ...

    @classmethod
    def load(cls, directory: Path) -> Self: ...


class BaseGate:
    """Checks, files, and playing one query after the other."""

    name: ClassVar[str]
    looks_at_answers: ClassVar[bool] = False
    """Whether the choice waits for an answer; else it is made from the query alone."""
    gives_after: ClassVar[int | None] = 1
    """After so many answers the last one is given, whatever it says; None: nobody can say."""
    draft_tokens: int = 0
    """Where above 0, the first answer is a draft of so many tokens, which is thrown away."""
    arms: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    pay_: Pay

    def fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> Self:
        """Learn from recorded strategies.

        Parameters
        ----------
        scores : shape (n, S)
            Predicted quality in [0, 1] of every strategy, by a router that was not trained on the query;
            trained on `targets(table)`.
        pay : what a call may cost

        Raises
        ------
        DataError
            If there is nothing to learn from, or shapes do not fit.
        """
        if not table.n_queries:
            raise DataError("no query is known for every strategy; a gate cannot be fitted")
        self.arms, self.pay_ = table.arms, pay
        self.calls_ = np.stack([table.retrieval_calls.mean(axis=0), table.lm_calls.mean(axis=0)])
        self._fit(table, self._given(table, scores), pay)
        return self

    def by_hand(self, arms: Sequence[str]) -> Self:
        """Without a fit: as its parameters say, over these strategies, the one that looks up least first.

        Raises
        ------
        ConfigError
            If the parameters do not say enough.
        """
        if len(arms) < 2:
            raise ConfigError(f"a gate chooses between at least two strategies, not {', '.join(arms)}")
        self.arms, self.pay_ = tuple(arms), Pay()
        self.calls_ = np.full((2, len(arms)), np.nan)
        self._by_hand()
        return self

    def targets(self, table: Strategies) -> FloatArray:
        """(n, S): what the router whose scores are given should predict."""
        return table.quality

    def walk(self, table: Strategies, scores: FloatArray) -> Walked:
        """What it would have done, one query after the other, through `next`."""
        scores = self._given(table, scores)
        ran = np.zeros(table.quality.shape, bool)
        arm = np.empty(table.n_queries, np.intp)
        costs = np.full(len(self.arms), np.nan)
        for row, query in enumerate(table.queries):
            seen: list[Seen] = []
            while (move := self.next(query, scores[row], costs, seen)).ask is not None:
                ran[row, move.ask] = True
                readings = {name: _known(table.readings[name][row, move.ask]) for name in self.signals}
                seen.append(Seen(move.ask, readings, table.answer(row, move.ask)))
            arm[row] = seen[move.accept or 0].arm
        walked = Walked.of(table, arm, ran)
        if not self.draft_tokens:
            return walked
        return replace(walked, lm_calls=walked.lm_calls + (arm == 0))  # a draft is no answer

    def needs_retrieval(self, table: Strategies, scores: FloatArray) -> FloatArray:
        """(n,): higher where the gate thinks that memory alone does not do; NaN if it has no view."""
        return np.full(table.n_queries, np.nan)

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """One strategy, chosen from the query alone."""
        if seen:
            return accept(len(seen) - 1, "the strategy was chosen before")
        arm = int(self._choose(np.asarray(scores, np.float64)[None])[0])
        return ask(arm, f"{self.name}: {self.arms[arm]}")

    def save(self, directory: Path) -> None:
        """Write `cascade.json`, and arrays beside it."""
        if not self.arms:
            raise NotFitted(self.name)
        facts, arrays = self._state()
        calls = self.calls_.tolist()
        common = {"arms": self.arms, "pay": msgspec.to_builtins(self.pay_), "calls": calls}
        write_cascade(Path(directory), self.name, common | {"own": facts}, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Raises ArtefactError if it is missing, damaged, or of another version or kind."""
        facts, arrays = read_cascade(Path(directory), cls.name)
        with blamed(Path(directory), cls.name):
            gate = cls(**facts["own"].get("params", {}))
            gate.arms = tuple(facts["arms"])
            gate.pay_ = msgspec.convert(facts["pay"], Pay)
            gate.calls_ = np.array(facts["calls"], np.float64)
            if len(gate.arms) < 2 or gate.calls_.shape != (2, len(gate.arms)):
                raise ConfigError(f"{len(gate.arms)} strategies do not fit {gate.calls_.shape} calls")
            gate._restore(facts["own"], arrays)
        return gate

    def expected_pay(self) -> FloatArray:
        """(S,): of running each strategy, by its mean calls in training."""
        return np.asarray(self.pay_.retrieval * self.calls_[0] + self.pay_.lm_call * self.calls_[1])

    def _given(self, table: Strategies, scores: FloatArray) -> FloatArray:
        found = np.asarray(scores, np.float64)
        if found.shape != table.quality.shape:
            raise DataError(f"scores have shape {found.shape}, expected {table.quality.shape}")
        if self.arms and table.arms != self.arms:
            raise DataError(f"strategies are {', '.join(table.arms)}, the gate knows {', '.join(self.arms)}")
        missing = [name for name in self.signals if name not in table.readings]
        if missing:
            raise DataError(f"{self.name} reads {', '.join(missing)}, which the data do not have")
        return found

    def _fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> None:
        """Nothing to learn by default."""

    def _by_hand(self) -> None:
        raise ConfigError(f"the gate {self.name!r} is learnt from recorded runs: `suffice gate train`")

    def _choose(self, scores: FloatArray) -> IntArray:
        """(n,): strategies from the queries' scores (n, S)."""
        raise TypeError(f"{type(self).__name__} says neither `next` nor `_choose`")

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {}, {}

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Nothing to restore by default."""


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
