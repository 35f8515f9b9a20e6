"""Watches a promise after it was made.

References
----------
Waudby-Smith & Ramdas (2024), Estimating means of bounded random variables by betting, appendix B.3 (aGRAPA
bets); Ville's inequality makes the alarm valid whenever one looks.
"""

from __future__ import annotations

import json
from typing import Final, Self

import numpy as np

from suffice.calibration.checks import FloatArray
from suffice.calibration.guarantee.betting import SHARE
from suffice.calibration.guarantee.table import check_level
from suffice.errors import ArtefactError, DataError

FORMAT: Final = 1
_LEVELS: Final = np.linspace(-1.0, 1.0, 201)
"""Mean drops that the lower bound is looked for among."""


class Monitor:
    """An alarm when the running mean drop is above epsilon, false with probability at most delta, ever.

    A coin is thrown for every query, before it is routed. Where it falls on shadow, `update` is told the drop
    s - w if the cheap model answered (the strong one is asked as well) and 0 if the strong one did: so the
    mean of what it is told is the mean drop of the traffic, whatever share of it is cheap. Each bet rests on
    earlier drops alone.
    """

    def __init__(self, *, epsilon: float, delta: float) -> None:
        """
        Parameters
        ----------
        epsilon : what `mean-drop` promised
        delta : the probability of a false alarm, over all time
        """
        check_level("epsilon", epsilon)
        check_level("delta", delta)
        self.epsilon, self.delta = epsilon, delta
        self._limits: FloatArray = np.concatenate([[epsilon], _LEVELS])
        self._wealth = np.zeros(len(self._limits))
        """Logarithm of the stake against "the mean is at most this"."""
        self._most = np.zeros(len(self._limits))
        self.n, self._sum, self._spread = 0, 0.0, 0.0

    def update(self, drop: float) -> bool:
        """Whether the promise must be withdrawn now, after one more drop in [-1, 1].

        Raises
        ------
        DataError
            If the drop is NaN or out of range.
        """
        if not -1 <= drop <= 1:
            raise DataError(f"the drop is {drop!r}: expected a difference of two qualities, in [-1, 1]")
        self._wealth += np.log1p(self._bets() * (drop - self._limits))
        np.maximum(self._most, self._wealth, out=self._most)
        self.n += 1
        self._sum += drop
        self._spread += (drop - self._sum / (self.n + 1)) ** 2
        return self.is_withdrawn

    @property
    def is_withdrawn(self) -> bool:
        """Stays so: a new promise needs new calibration rows and a new monitor."""
        return bool(self._most[0] >= np.log(1 / self.delta))

    @property
    def mean_drop(self) -> float | None:
        """So far; None before the first."""
        return self._sum / self.n if self.n else None

    @property
    def lower_bound(self) -> float:
        """Of the mean drop, with probability 1 - delta at all times at once; -1 where nothing is known."""
        is_out = self._most[1:] >= np.log(1 / self.delta)
        return float(_LEVELS[is_out].max()) if is_out.any() else -1.0

    def _bets(self) -> FloatArray:
        """By limit: growing with how far the mean is above it, nothing where it is below."""
        mean = self._sum / (self.n + 1)
        variance = (0.25 + self._spread) / (self.n + 1)
        above = np.maximum(mean - self._limits, 0.0)
        with np.errstate(divide="ignore"):
            most = SHARE / (1 + self._limits)  # a drop of -1 takes at most that share of the stake
        found: FloatArray = np.minimum(above / (variance + above**2), most)
        return found

    def to_json(self) -> str:
        """Everything `from_json` needs to go on after a restart."""
        state = {
            "format": FORMAT,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "n": self.n,
            "sum": self._sum,
            "spread": self._spread,
            "wealth": self._wealth.tolist(),
            "most": self._most.tolist(),
        }
        return json.dumps(state, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """As `to_json` left it.

        Raises
        ------
        ArtefactError
            If it is damaged or of another version.
        """
        try:
            state = json.loads(text)
            if state["format"] != FORMAT:
                raise ValueError(f"format {state['format']!r}, not {FORMAT}")
            found = cls(epsilon=state["epsilon"], delta=state["delta"])
            found.n, found._sum, found._spread = int(state["n"]), float(state["sum"]), float(state["spread"])
            wealth, most = (np.asarray(state[key], dtype=np.float64) for key in ("wealth", "most"))
            if wealth.shape != found._wealth.shape or most.shape != found._most.shape:
                raise ValueError("wealth and most do not fit")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtefactError(f"not a monitor ({error}): start a new one from the certificate") from error
        found._wealth, found._most = wealth, most
        return found
