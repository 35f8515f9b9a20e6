"""What every cascade is: a rule that looks at the answers so far and asks on, or accepts one of them.

It only decides: it calls no model, reads no signal and knows no prompt. Live, a plan does what it says
(`suffice.plans`); offline, `suffice.cascades.play` does the same on recorded answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import msgspec

from suffice.types import FloatArray, Query


class Seen(msgspec.Struct, frozen=True):
    """One answer that is there."""

    arm: int
    """Index into `Cascade.arms`."""
    readings: Mapping[str, float | None]
    """Confidence signals by name; None: it could not be read, which is not 0."""
    text: str = ""
    """The answer; empty where nobody kept it, or where the model said nothing."""


class Move(msgspec.Struct, frozen=True):
    """What a cascade wants next: one more answer, or to be done."""

    ask: int | None
    """The arm to ask; None: accept."""
    accept: int | None
    """The position in `seen` of the answer to give, where `ask` is None."""
    reason: str


@runtime_checkable
class Cascade(Protocol):
    """A fitted rule.

    `next` changes nothing, draws nothing by chance that the query does not fix, and comes to an end: it
    asks no arm a second time.
    """

    @property
    def name(self) -> str: ...

    @property
    def arms(self) -> tuple[str, ...]: ...

    @property
    def signals(self) -> tuple[str, ...]:
        """Those it wants read from every answer; "verification" is the share of k that say "correct"."""
        ...

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """What to do after `seen`, oldest first; empty at the start.

        Parameters
        ----------
        scores, costs_usd : shape (n_arms,)
            A router's scores in [0, 1] and the predicted cost of one answer, before any is there. NaN is
            unknown.
        """
        ...

    def save(self, directory: Path) -> None: ...

    @classmethod
    def load(cls, directory: Path) -> Self: ...


def signals_of(cascade: Cascade, arm: int) -> tuple[str, ...]:
    """Those to read from an answer of that arm: all of `signals`, unless a method `reads(arm)` says fewer.

    Nobody looks at the last answer of a chain, and verifying it would cost calls for nothing.
    """
    reads = getattr(cascade, "reads", None)
    return cascade.signals if reads is None else tuple(reads(arm))


def ask(arm: int, reason: str) -> Move:
    """Ask that arm next."""
    return Move(ask=arm, accept=None, reason=reason)


def accept(position: int, reason: str) -> Move:
    """Give the answer at that position of `seen`."""
    return Move(ask=None, accept=position, reason=reason)


def last_spoken(seen: Sequence[Seen]) -> int:
    """The position of the latest answer that says something; the latest where none does."""
    spoken = [place for place, one in enumerate(seen) if one.text.strip()]
    return spoken[-1] if spoken else len(seen) - 1


def can_pay(query: Query, costs_usd: FloatArray, seen: Sequence[Seen], arm: int) -> bool:
    """Whether the query's own limit has room for `arm` after what was asked; unknown costs count nothing."""
    limit = query.constraints.max_cost_usd
    if limit is None:
        return True
    asked = [float(costs_usd[one.arm]) for one in seen] + [float(costs_usd[arm])]
    return Decimal(str(sum(cost for cost in asked if not math.isnan(cost)))) <= limit
