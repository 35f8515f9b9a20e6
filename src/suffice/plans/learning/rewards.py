"""From a word on an answer to a reward: how good it says the answer was, and how much it is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

EXPLICIT: Final = "explicit"
JUDGE: Final = "judge"
IMPLICIT: Final = "implicit"

_WEIGHTS: Final = {EXPLICIT: 1.0, JUDGE: 0.5, IMPLICIT: 0.2}
"""Of an observation: people who say so, a model that read the answer, and what people only did."""
_DEEDS: Final = {"copy": 0.9, "follow_up": 0.4, "regenerate": 0.1}
"""What a deed says: who copies an answer can use it, who has it written again cannot."""

Ranges = Mapping[str, tuple[float, float]]
"""By name of a metric: the values that count 0 and 1; the first may be the higher."""


class Reward(NamedTuple):
    """A reward in [0, 1], who says so, and its weight in (0, 1]."""

    value: float
    source: str
    weight: float


def reward(name: str, value: float, ranges: Ranges | None = None) -> Reward | None:
    """What feedback of that name and value says of an answer; None: nothing.

    `score` and `label` are in [0, 1]; `thumb` is up above 0; `correction` is the share of the answer that had
    to be changed; `judge` is a model's score; `copy`, `regenerate` and `follow_up` are deeds, and 0 is none.
    Other metrics count where `ranges` names them, cut to their range: no outlier counts for more.

    Examples
    --------
    >>> reward("thumb", -1)
    Reward(value=0.0, source='explicit', weight=1.0)
    >>> reward("stars", 4, {"stars": (1, 5)}).value
    0.75
    """
    if not math.isfinite(value):
        return None
    if ranges is not None and name in ranges:
        worst, best = ranges[name]
        return _of(EXPLICIT, min(max((value - worst) / (best - worst), 0.0), 1.0))
    if name == "thumb":
        return _of(EXPLICIT, float(value > 0))
    if name in _DEEDS:
        return _of(IMPLICIT, _DEEDS[name]) if value > 0 else None
    if not 0 <= value <= 1:
        return None
    if name in ("score", "label"):
        return _of(EXPLICIT, value)
    if name == "correction":
        return _of(EXPLICIT, 1 - value)
    return _of(JUDGE, value) if name == "judge" else None


def _of(source: str, value: float) -> Reward:
    return Reward(value, source, _WEIGHTS[source])


def is_first(found: Reward, before: Iterable[tuple[str, float]], ranges: Ranges | None = None) -> bool:
    """Whether no earlier word (name, value) on the same answer was of the same kind: the first counts."""
    others = (reward(name, value, ranges) for name, value in before)
    return all(other is None or other.source != found.source for other in others)


class Fairness(msgspec.Struct, kw_only=True):
    """Nobody teaches more than his share: rewards of each user within a day (UTC) of the feedback.

    Those of requests without a user are not limited: they cannot be told apart.
    """

    most_per_user: int
    user_share: float
    """A user's part of all rewards of the day, once there are `most_per_user`."""
    day: int = 0
    n: int = 0
    by_user: dict[str, int] = {}

    def allows(self, user: str, at: float) -> bool:
        """Whether one more of the user counts, and count it.

        Parameters
        ----------
        user : "" for none
        at : Unix seconds; a clock that goes back stays in its day
        """
        day = int(at // 86_400)
        if day > self.day:
            self.day, self.n, self.by_user = day, 0, {}
        known = self.by_user.get(user, 0)
        if user and known >= self.most_per_user:
            return False
        if user and self.n >= self.most_per_user and known >= self.user_share * self.n:
            return False
        self.n += 1
        if user:
            self.by_user[user] = known + 1
        return True
