"""Cascade routing on recorded answers at many prices at once, and what it learns from them.

What a state of a query is worth does not depend on the price, so every state is weighed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suffice.cascades.estimates import Estimates, Trial
from suffice.cascades.lookahead import Lookahead, Outlook, slope_place
from suffice.cascades.play import Played
from suffice.cascades.supermodels import CLASSES, ErrorModel, Kind, expected_maximum
from suffice.types import FloatArray

_LEAST_GAIN = 1e-9


@dataclass(frozen=True, eq=False)
class Rows:
    """Recorded queries as cascade routing sees them; all (n, M)."""

    prior: FloatArray
    evidence: FloatArray
    keys: Sequence[Sequence[str]]
    """What each answer says."""
    costs: FloatArray
    """Predicted, readings included: what decisions count."""
    quality: FloatArray
    paid: FloatArray
    """Measured, readings included."""
    latency: FloatArray

    def said(self, row: int, arms: Sequence[int]) -> tuple[list[float], list[str]]:
        """Evidence and keys of these arms' answers."""
        return self.evidence[row, list(arms)].tolist(), [self.keys[row][arm] for arm in arms]


class _States:
    """One query's estimates and outlooks by which arms have answered."""

    def __init__(self, estimates: Estimates, lookahead: Lookahead, rows: Rows, row: int) -> None:
        self._estimates, self._lookahead, self._rows, self._row = estimates, lookahead, rows, row
        self._belief = estimates.start(rows.prior[row])
        self._known: dict[tuple[int, ...], tuple[FloatArray, Outlook]] = {}

    def at(self, seen: tuple[int, ...]) -> tuple[FloatArray, Outlook]:
        """Estimates do not depend on the order of the answers."""
        state = tuple(sorted(seen))
        if state not in self._known:
            estimates = self._estimates.after(self._belief, seen, *self._rows.said(self._row, seen))
            outlook = self._lookahead.outlook(estimates, self._rows.costs[self._row], seen)
            self._known[state] = estimates, outlook
        return self._known[state]

    def followed(self, price: float) -> tuple[int, list[int]]:
        """The arm whose answer is accepted, and all that were asked."""
        seen: list[int] = []
        best = None
        while True:
            estimates, outlook = self.at(tuple(seen))
            quality = None
            if seen:
                best = max(seen, key=estimates.__getitem__)
                quality = float(estimates[best])
            arm = outlook.choice(price, quality)
            if arm is None:
                assert best is not None, "something is always asked"
                return best, seen
            seen.append(arm)


class Sweep:
    """Recorded queries whose states are weighed when they are first come to, and then kept."""

    def __init__(self, estimates: Estimates, lookahead: Lookahead, rows: Rows) -> None:
        self._rows = rows
        self._states = [_States(estimates, lookahead, rows, row) for row in range(len(rows.prior))]

    def at(self, prices: Sequence[float]) -> list[Played]:
        """What each price (1 / value_usd) leads to, query by query."""
        rows, shape = self._rows, (len(prices), len(self._states))
        chosen, asked = np.empty(shape, dtype=np.intp), np.zeros((*shape, rows.prior.shape[1]), np.bool_)
        paid, latency = np.zeros(shape), np.zeros(shape)
        for row, states in enumerate(self._states):
            for number, price in enumerate(prices):
                best, seen = states.followed(price)
                chosen[number, row], asked[number, row, seen] = best, True
                paid[number, row] = rows.paid[row, seen].sum()
                latency[number, row] = rows.latency[row, seen].sum()
        each = np.arange(shape[1])
        return [
            Played(arm, rows.quality[each, arm], cost, seconds, who.sum(axis=1), who)
            for arm, cost, seconds, who in zip(chosen, paid, latency, asked, strict=True)
        ]


def learnt(
    estimates: Estimates,
    rows: Rows,
    trials: Sequence[Trial],
    *,
    kind: Kind,
    order: Sequence[int] | None,
    shortlist: Sequence[int],
    max_added: int,
    max_asks: int,
) -> Lookahead:
    """The error model from how estimates moved in the trials, and which share of gains came true."""
    moves: list[tuple[float, float, int]] = []
    states = []
    for trial in trials:
        belief, arms = estimates.start(rows.prior[trial.row]), (*trial.before, *trial.added)
        before = estimates.after(belief, trial.before, *rows.said(trial.row, trial.before))
        after = estimates.after(belief, arms, *rows.said(trial.row, arms))
        moves += [(before[arm], after[arm], len(arms)) for arm in trial.added]
        states.append((trial, before, after))
    table = np.array(moves)
    errors = ErrorModel.fit(table[:, 0], table[:, 1], table[:, 2].astype(np.intp), kind=kind)
    return Lookahead(
        errors,
        _slopes(errors, states),
        order=order,
        shortlist=shortlist,
        max_added=max_added,
        max_asks=max_asks,
    )


def _slopes(errors: ErrorModel, states: Sequence[tuple[Trial, FloatArray, FloatArray]]) -> FloatArray:
    """(CLASSES, CLASSES): gain over the best single estimate, per unit of expected gain, in [0, 1].

    By how many answers there were in a trial, and how many came. The gain is read off the
    calibrated estimates that recorded answers lead to: the same as their quality, with far less noise.
    """
    both, squares = np.zeros((CLASSES, CLASSES)), np.zeros((CLASSES, CLASSES))
    for trial, before, after in states:
        arms, added = [*trial.before, *trial.added], list(trial.added)
        floor = float(before[list(trial.before)].max()) if trial.before else 0.0
        below = errors.below(before[added], len(arms))
        alone = arms[int(before[arms].argmax())]
        whole = np.ones((1, len(added)), dtype=np.bool_)
        expected = float(expected_maximum(below, whole, floor)[0]) - float(before[alone])
        gained = float(after[arms].max() - after[alone])
        place = slope_place(len(trial.before), len(added))
        both[place] += expected * gained
        squares[place] += expected**2
    return np.asarray(np.clip(both / np.maximum(squares, _LEAST_GAIN), 0, 1))
