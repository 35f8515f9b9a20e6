"""Arms in a row: each answer is accepted, or the next arm is asked, by what one signal says of it."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from suffice.cascades.artefact import blamed, read_cascade, write_cascade
from suffice.cascades.base import Move, Seen, accept, ask, can_pay, last_spoken
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import Stages, best_stages, next_asked
from suffice.errors import DataError, NotFitted
from suffice.types import FloatArray, Query


class ChainCascade(ABC):
    """A cascade of `Stage`s; a subclass says how they are learnt.

    Parameters
    ----------
    signal : read from every answer but the last arm's
    arms : the chain; None takes all that are recorded, from the cheapest on
    """

    name: ClassVar[str]
    arms: tuple[str, ...]
    signals: tuple[str, ...]

    def __init__(self, *, signal: str = "verification", arms: Sequence[str] | None = None) -> None:
        self.signal = signal
        self.chain = None if arms is None else tuple(arms)
        self.arms = ()
        self.signals = (signal,)

    def params(self) -> dict[str, Any]:
        """The constructor's parameters, as JSON values."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, "chain" if name == "arms" else name) for name in names if name != "self"}

    def fit(
        self, recorded: Recorded, *, budget_usd: float | None = None, value_usd: float | None = None
    ) -> Self:
        """Learn from recorded answers; queries without every arm's quality and cost are left out.

        Parameters
        ----------
        budget_usd : mean cost per query, readings included
        value_usd : what a fully right answer is worth
            With neither, quality per dollar beyond the first arm alone is made as large as it gets.

        Raises
        ------
        DataError
            If no query is left.
        UnknownName
            If the signal or an arm was not recorded.
        ConfigError
            If both goals are given, or one is no number from 0 on.
        """
        goal = Goal(budget_usd, value_usd)
        table = chained(recorded, self.chain)
        self._learn(table, goal)
        self.arms = table.arms
        self.n_train_ = table.n_queries
        return self

    @abstractmethod
    def _learn(self, table: Recorded, goal: Goal) -> None:
        """From complete rows whose arms stand in the chain's order; sets what `_after` uses."""

    @abstractmethod
    def reads(self, arm: int) -> tuple[str, ...]:
        """The signals that are read from that arm's answer."""

    @abstractmethod
    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """See `Cascade.next`."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What was learnt, as JSON values."""

    @abstractmethod
    def _restore(self, state: Mapping[str, Any]) -> None:
        """The reverse of `_state`; `arms` is set."""

    def save(self, directory: Path) -> None:
        """Write `cascade.json`."""
        self._check_fitted()
        facts = {"params": self.params(), "arms": self.arms, "n_train": self.n_train_, "state": self._state()}
        write_cascade(directory, self.name, facts)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """A cascade saved by `save`.

        Raises
        ------
        ArtefactError
            If it is missing, damaged, of another version or of another kind.
        """
        facts, _ = read_cascade(directory, cls.name)
        with blamed(directory, cls.name):
            found = cls(**facts["params"])
            found.arms, found.n_train_ = msgspec.convert(facts["arms"], tuple[str, ...]), facts["n_train"]
            found._restore(facts["state"])
        return found

    def _check_fitted(self) -> None:
        if not self.arms:
            raise NotFitted(f"the cascade {self.name!r}")


class StepCascade(ChainCascade):
    """A chain with one `Stage` per arm but the last."""

    stages_: Stages

    def reads(self, arm: int) -> tuple[str, ...]:
        is_read = arm < len(self.stages_) and self.stages_[arm].is_read
        return self.signals if is_read else ()

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        self._check_fitted()
        arm = -1
        if seen:
            arm = seen[-1].arm
            if arm == len(self.arms) - 1:
                return accept(last_spoken(seen), "the last of the chain")
            reading = self._reading(seen[-1])
            if not self.stages_[arm].asks_after(reading):
                return accept(len(seen) - 1, self._why(arm, reading))
        following = next_asked(self.stages_, arm)
        if seen and not can_pay(query, costs_usd, seen, following):
            return accept(last_spoken(seen), f"{self.arms[following]} would cost more than is allowed")
        return ask(following, "the first of the chain" if not seen else self._doubt(seen[-1]))

    def _reading(self, one: Seen) -> float | None:
        """What the stages go by; None where it is missing."""
        reading = one.readings.get(self.signal)
        return None if reading is None or math.isnan(reading) else reading

    def _why(self, arm: int, reading: float | None) -> str:
        if reading is None or not self.stages_[arm].is_read:
            return f"{self.arms[arm]} is always believed"
        hopeless = self.stages_[arm].is_hopeless(reading)
        return f"{self.signal} {reading:.3g}: {'nobody else would do better' if hopeless else 'sure enough'}"

    def _doubt(self, one: Seen) -> str:
        reading = self._reading(one)
        said = "cannot be read" if reading is None else f"{reading:.3g} is doubtful"
        return f"{self.signal} of {self.arms[one.arm]} {said}"

    def _learn(self, table: Recorded, goal: Goal) -> None:
        self.stages_ = best_stages(table, self.signal, self._configurations(table, goal), goal)

    @abstractmethod
    def _configurations(self, table: Recorded, goal: Goal) -> Sequence[Stages]:
        """Those to choose from."""

    def _state(self) -> dict[str, Any]:
        return {"stages": msgspec.to_builtins(self.stages_)}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.stages_ = msgspec.convert(state["stages"], Stages)
        if len(self.stages_) != len(self.arms) - 1:
            raise ValueError(f"{len(self.stages_)} stages for {len(self.arms)} arms")


def chained(recorded: Recorded, arms: Sequence[str] | None) -> Recorded:
    """Complete rows with the arms in the chain's order.

    Raises
    ------
    DataError
        If none is left.
    """
    if arms is None:
        known = ~np.isnan(recorded.cost_usd)
        means = np.where(known, recorded.cost_usd, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        arms = [recorded.arms[arm] for arm in np.argsort(means, kind="stable")]
    table = recorded.select(arms=arms).complete()
    if not table.n_queries or not table.n_arms:
        raise DataError(f"no query has quality and cost of every arm ({', '.join(arms) or 'there is none'})")
    return table
