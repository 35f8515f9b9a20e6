"""One pass over a stream: predict, pace, choose, pay, and learn what feedback tells, when it tells it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from suffice.budgets.pacing import Pacer
from suffice.evaluation.replay.costs import CostLearner
from suffice.evaluation.replay.stream import Stream
from suffice.types import BoolArray, FloatArray, IntArray

REFUSED: Final = -1


class Player(Protocol):
    """A policy on a stream. Arms are given by their places."""

    def scores(self, t: int) -> FloatArray:
        """(K,): how good the arms are taken to be on query t, as the choice sees them."""
        ...

    def choose(self, t: int, costs: FloatArray, allowed: BoolArray, price: float) -> int:
        """One of the allowed arms, of which there is at least one."""
        ...

    def learn(self, t: int, arm: int, reward: float) -> None:
        """Feedback on query t, now or much later; of other arms too where all are shown."""
        ...

    def appears(self, arm: int) -> None:
        """From now on there is this arm."""
        ...


@dataclass(frozen=True, eq=False)
class Terms:
    """Of feedback."""

    rate: float = 1.0
    """The share of answers that get any."""
    delay: int = 0
    """Queries until it comes."""
    shows_all: bool = False
    """Full information: the rewards of all arms come, not only that of the chosen one."""


@dataclass(frozen=True, eq=False)
class Played:
    """What happened, by query."""

    rewards: FloatArray
    """(n,): 0 where the query was refused or the answer cut."""
    arms: IntArray
    """(n,): -1 where it was refused."""
    spent_usd: float
    n_cut: int
    n_told: int


def play(
    stream: Stream,
    player: Player,
    pacer: Pacer,
    costs: CostLearner,
    terms: Terms,
    rng: np.random.Generator,
    on_query: Callable[[], None] = lambda: None,
) -> Played:
    """Play the stream to its end.

    Before a call only predicted costs are known; true ones are paid. The cap holds all the same: a call that
    turns out dearer than what leaves enough for the queries to come (or, at the end, than all that is left)
    is cut off there, as a clamped output limit would, and is worth 0.
    """
    game = _Game(stream, player, pacer, costs, terms, rng)
    for t in range(len(stream)):
        game.step(t)
        on_query()
    return Played(game.rewards, game.arms, pacer.spent_usd, game.n_cut, game.n_told)


class _Game:
    def __init__(
        self,
        stream: Stream,
        player: Player,
        pacer: Pacer,
        costs: CostLearner,
        terms: Terms,
        rng: np.random.Generator,
    ) -> None:
        self.stream, self.player, self.pacer, self.costs = stream, player, pacer, costs
        self.terms, self.rng = terms, rng
        self.rewards = np.zeros(len(stream))
        self.arms: IntArray = np.full(len(stream), REFUSED)
        self.n_cut = self.n_told = 0
        self._waiting: deque[tuple[int, int, float]] = deque()
        self._known = stream.available[0].copy() if len(stream) else np.zeros(0, np.bool_)

    def step(self, t: int) -> None:
        self._hear(t)
        self._meet(t)
        stream, x = self.stream, self.stream.contexts[t]
        expected, at_most = (values * stream.price_factor[t] for values in self.costs.predict(x))
        away = ~stream.available[t]
        scores = np.where(away, np.nan, self.player.scores(t))
        expected, at_most = np.where(away, np.nan, expected), np.where(away, np.nan, at_most)
        price = self.pacer.price(scores, expected, now=float(t))
        allowed = self.pacer.allowed(scores, expected, at_most)
        if not allowed.any():
            self.pacer.paid(0.0)
            return
        arm = self.player.choose(t, expected, allowed, price)
        left, room = self.pacer.left_usd, self.pacer.room_usd
        self._pay(t, arm, x, room if at_most[arm] <= room else left)

    def _pay(self, t: int, arm: int, x: NDArray[np.float32], most_usd: float) -> None:
        cost = float(self.stream.costs[t, arm])
        self.arms[t] = arm
        self.costs.learn(x, arm, cost / float(self.stream.price_factor[t, arm]))
        if cost > most_usd:
            self.n_cut += 1
            self.pacer.paid(most_usd)
            return
        self.pacer.paid(cost)
        self.rewards[t] = self.stream.rewards[t, arm]
        if self.rng.random() < self.terms.rate:
            self.n_told += 1
            shown = np.flatnonzero(self.stream.available[t]) if self.terms.shows_all else (arm,)
            for one in shown:
                self._waiting.append((t, int(one), float(self.stream.rewards[t, one])))

    def _hear(self, t: int) -> None:
        """What feedback there is by now."""
        while self._waiting and self._waiting[0][0] + self.terms.delay < t:
            self.player.learn(*self._waiting.popleft())

    def _meet(self, t: int) -> None:
        new = self.stream.available[t] & ~self._known
        for arm in np.flatnonzero(new):
            self.player.appears(int(arm))
        self._known |= new
