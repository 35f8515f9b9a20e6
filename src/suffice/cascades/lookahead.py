"""What could be asked next, what that would be worth, and what it would cost.

Ask on where the best set of further arms is worth more than its price above the best answer so far; ask
the cheapest of that set first, and think again when it has answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from suffice.cascades.supermodels import CLASSES, ErrorModel, expected_maximum, subsets
from suffice.types import BoolArray, FloatArray, IntArray

_TOLERANCE: Final = 1e-12


class Outlook(NamedTuple):
    """One state of one query: S sets of arms, the cheapest first."""

    values: FloatArray
    """(S,): expected quality of the best answer once a set has been asked too."""
    costs: FloatArray
    """(S,)"""
    first: IntArray
    """(S,): the arm of each set to ask first."""

    def choice(self, price: float, quality: float | None) -> int | None:
        """The arm to ask next; None to accept what is there.

        Parameters
        ----------
        price : lambda, quality per USD: 1 / value_usd; 0 counts no cost, infinity nothing else
        quality : of the best answer so far; None without one, and then something must be asked
        """
        if not len(self.values):
            return None
        net = -self.costs if np.isinf(price) else self.values - price * self.costs
        best = int(net.argmax())
        if quality is not None and (np.isinf(price) or net[best] <= quality + _TOLERANCE):
            return None
        return int(self.first[best])


def slope_place(n_seen: int, n_added: int) -> tuple[int, int]:
    """Row and column of `Lookahead.slopes`."""
    return min(n_seen, CLASSES - 1), min(n_added, CLASSES) - 1


class Lookahead:
    """Weighs sets of arms by a fitted error model."""

    def __init__(
        self,
        errors: ErrorModel,
        slopes: FloatArray,
        *,
        order: Sequence[int] | None = None,
        shortlist: Sequence[int] | None = None,
        max_added: int = 3,
        max_asks: int = 4,
    ) -> None:
        """
        Parameters
        ----------
        slopes : (CLASSES, CLASSES) in [0, 1], by answers there and arms added: the share of the gain over
            the best single estimate that comes true; arms err together, and the expected maximum takes them
            as independent
        order : arms may only be asked in this order: a plain cascade
        shortlist : arms that sets of several are made of; None takes all
        max_added : arms in a set, at most; an order looks to its end
        max_asks : answers per query, at most; 1 is plain routing
        """
        self.errors, self.slopes = errors, slopes
        self.order = None if order is None else tuple(order)
        self.shortlist = None if shortlist is None else tuple(shortlist)
        self.max_added, self.max_asks = max_added, max_asks

    def outlook(
        self, estimates: FloatArray, costs: FloatArray, seen: Sequence[int], usable: BoolArray | None = None
    ) -> Outlook:
        """Every set, from estimates and costs (M,) in a state."""
        left, members = self._sets(len(estimates), seen, usable)
        return self._weighed(estimates, costs, seen, left, members)

    def pruned(
        self,
        estimates: FloatArray,
        costs: FloatArray,
        seen: Sequence[int],
        price: float,
        usable: BoolArray | None = None,
    ) -> Outlook:
        """The same choice from fewer sets: without arms that no set could pay for.

        No set is worth more than all arms together, so an arm that costs more than that leaves above the
        best single arm, or above the answer there is, is in no winning set.
        """
        left, members = self._sets(len(estimates), seen, usable)
        if self.order is not None or not len(left) or self._room(seen) < 2 or np.isinf(price):
            return self._weighed(estimates, costs, seen, left, members)
        singles = self._weighed(estimates, costs, seen, left, np.eye(len(left), dtype=np.bool_))
        floor = float(estimates[list(seen)].max()) if len(seen) else -np.inf
        enough = max(floor, float((singles.values - price * singles.costs).max()))
        most = max(
            float(expected_maximum(below, np.ones((1, len(left)), dtype=np.bool_), max(floor, 0.0))[0])
            for below in (self.errors.below(estimates[left], n + 1) for n in range(CLASSES))
        )
        most = max(most, float(estimates[left].max()))
        kept = price * costs[left] <= most - enough + 1e-6
        kept |= left == singles.first[int((singles.values - price * singles.costs).argmax())]
        fewer = self._subsets(left[kept], seen)
        return self._weighed(estimates, costs, seen, left[kept], fewer)

    def _room(self, seen: Sequence[int]) -> int:
        return min(self.max_added, self.max_asks - len(seen))

    def _sets(self, n_arms: int, seen: Sequence[int], usable: BoolArray | None) -> tuple[IntArray, BoolArray]:
        """Arms that may be asked (m,), and sets of them (S, m)."""
        allowed = np.ones(n_arms, dtype=np.bool_) if usable is None else usable
        if self.order is not None:
            ahead = self.order[len(seen) : self.max_asks]
            for place, arm in enumerate(ahead):
                if not allowed[arm]:
                    ahead = ahead[:place]
                    break
            return np.array(ahead, dtype=np.intp), np.tri(len(ahead), dtype=np.bool_)
        left = np.array([arm for arm in range(n_arms) if allowed[arm] and arm not in seen], dtype=np.intp)
        return left, self._subsets(left, seen)

    def _subsets(self, left: IntArray, seen: Sequence[int]) -> BoolArray:
        """(S, m): every arm alone, and sets of the shortlist's."""
        if self.shortlist is None:
            return subsets(len(left), self._room(seen))
        if self._room(seen) < 1:
            return subsets(len(left), 0)
        listed = np.flatnonzero(np.isin(left, self.shortlist))
        several = subsets(len(listed), self._room(seen))[len(listed) :]
        members = np.zeros((len(several), len(left)), dtype=np.bool_)
        members[:, listed] = several
        return np.vstack((np.eye(len(left), dtype=np.bool_), members))

    def _weighed(
        self,
        estimates: FloatArray,
        costs: FloatArray,
        seen: Sequence[int],
        left: IntArray,
        members: BoolArray,
    ) -> Outlook:
        floor = float(estimates[list(seen)].max()) if len(seen) else 0.0
        expected = estimates[left]
        sizes = members.sum(axis=1)
        values = np.where(members, expected, 0.0).max(axis=1, initial=floor)
        for size in np.unique(sizes):
            n_answers = len(seen) + int(size)
            if n_answers == 1:  # one answer leaves nothing to pick from
                continue
            rows = np.flatnonzero(sizes == size)
            below = self.errors.below(expected, n_answers)
            gain = expected_maximum(below, members[rows], floor) - values[rows]
            values[rows] += self.slopes[slope_place(len(seen), int(size))] * np.maximum(gain, 0.0)
        price = costs[left]
        total = members.astype(np.float64) @ price
        if self.order is not None:
            first = np.repeat(left[:1], len(members))
        else:
            first = left[np.where(members, price, np.inf).argmin(axis=1)] if len(members) else left[:0]
        rank = np.argsort(total, kind="stable")
        return Outlook(values[rank], total[rank], first[rank])

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "centres": self.errors.centres.tolist(),
            "moves": self.errors.moves.tolist(),
            "slopes": self.slopes.tolist(),
            "order": None if self.order is None else list(self.order),
            "shortlist": None if self.shortlist is None else list(self.shortlist),
            "max_added": self.max_added,
            "max_asks": self.max_asks,
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The reverse."""
        errors = ErrorModel(np.array(facts["centres"], np.float64), np.array(facts["moves"], np.float64))
        limits = {name: int(facts[name]) for name in ("max_added", "max_asks")}
        slopes = np.array(facts["slopes"], np.float64)
        return cls(errors, slopes, order=facts["order"], shortlist=facts["shortlist"], **limits)
