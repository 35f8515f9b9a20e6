"""Detectors of a change in a stream's mean: one value at a time, and yes or no.

Made for residuals, a reward less what was predicted for it, of one arm: these rest at a constant while the
arm is as good as it was, whatever is asked.

References
----------
Bifet & Gavalda (2007), Learning from time-changing data with adaptive windowing (ADWIN2); Page (1954),
Continuous inspection schemes, in the form of Hinkley (1971).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from suffice.metrics.checks import BadScores

_BUCKETS: Final = 5
"""Of each size, as in the paper."""


class Adwin:
    """A window that grows while its mean stays, and drops its old part when two parts differ.

    Kept as buckets of 1, 2, 4, ... values with sum and spread: memory and time are logarithmic in the window.
    """

    def __init__(self, *, delta: float = 0.002, every: int = 32, least: int = 5) -> None:
        """
        Parameters
        ----------
        delta : about the chance of a false alarm per look, in (0, 1)
        every : values between two looks
        least : values that each part needs

        Raises
        ------
        BadScores
            If delta is not inside (0, 1), or every or least is under 1.
        """
        if not 0 < delta < 1 or every < 1 or least < 1:
            raise BadScores(f"delta {delta}, every {every}, least {least}: expected (0, 1) and at least 1")
        self.delta, self.every, self.least = delta, every, least
        self.n, self._since = 0, 0
        """Values in the window; values since the last look."""
        self._rows: list[deque[tuple[float, float]]] = []
        """Row i: buckets of 2**i values, oldest first, as sum and sum of squares around their mean."""
        self._total, self._spread = 0.0, 0.0

    @property
    def mean(self) -> float | None:
        """Of the window; None before the first value."""
        return self._total / self.n if self.n else None

    def update(self, value: float) -> bool:
        """Take a value of a range of width 1, such as [0, 1]; whether the mean is found to have changed.

        Raises
        ------
        BadScores
            If the value is not finite.
        """
        _check(value)
        if self.n:
            self._spread += (value - self._total / self.n) ** 2 * self.n / (self.n + 1)
        self.n += 1
        self._total += value
        self._add(value)
        self._since += 1
        if self._since < self.every or self.n < 2 * self.least:
            return False
        self._since = 0
        return self._look()

    def _add(self, value: float) -> None:
        bucket, level = (value, 0.0), 0
        while True:
            if level == len(self._rows):
                self._rows.append(deque())
            row = self._rows[level]
            row.append(bucket)
            if len(row) <= _BUCKETS:
                return
            bucket = _joined(row.popleft(), row.popleft(), 2**level)
            level += 1

    def _look(self) -> bool:
        has_changed = False
        while self._is_split():
            has_changed = True
            self._drop_oldest()
        return has_changed

    def _is_split(self) -> bool:
        """Whether some old part differs from the rest by more than chance allows (the paper's eps_cut)."""
        variance = max(self._spread, 0.0) / self.n
        log_term = math.log(2 * math.log(self.n) / self.delta)
        n, total = 0, 0.0
        for level in range(len(self._rows) - 1, -1, -1):
            for part, _ in self._rows[level]:
                n += 2**level
                total += part
                rest = self.n - n
                if rest < self.least:
                    return False
                if n < self.least:
                    continue
                m = 1 / (1 / n + 1 / rest)
                allowed = math.sqrt(2 / m * variance * log_term) + 2 / (3 * m) * log_term
                if abs(total / n - (self._total - total) / rest) > allowed:
                    return True
        return False

    def _drop_oldest(self) -> None:
        level = len(self._rows) - 1
        total, spread = self._rows[level].popleft()
        if not self._rows[level]:
            self._rows.pop()
        n = 2**level
        left = self.n - n
        mean, left_mean = total / n, (self._total - total) / left
        self._spread -= spread + n * left / self.n * (mean - left_mean) ** 2
        self.n, self._total = left, self._total - total


class PageHinkley:
    """Sums how far values lie below their own mean so far, by more than a tolerance.

    Starts anew after an alarm. Watches for a fall: a rise is a fall of the negated values.
    """

    def __init__(self, *, tolerance: float = 0.03, threshold: float = 30.0, least: int = 30) -> None:
        """
        Parameters
        ----------
        tolerance : a fall of the mean that is let pass, half of what is to be found
        threshold : the sum at which it alarms: the higher the later, and the rarer without cause
        least : values before the first alarm

        Raises
        ------
        BadScores
            If one of them is negative or not finite.
        """
        if not (0 <= tolerance < math.inf and 0 < threshold < math.inf and least >= 1):
            raise BadScores(f"tolerance {tolerance}, threshold {threshold}, least {least}: expected above 0")
        self.tolerance, self.threshold, self.least = tolerance, threshold, least
        self._start()

    def _start(self) -> None:
        self.n = 0
        self._mean = 0.0
        self._sum = 0.0

    def update(self, value: float) -> bool:
        """Take a value; whether the mean is found to have fallen.

        Raises
        ------
        BadScores
            If the value is not finite.
        """
        _check(value)
        self.n += 1
        self._mean += (value - self._mean) / self.n
        self._sum = max(0.0, self._sum + self._mean - value - self.tolerance)
        if self.n < self.least or self._sum <= self.threshold:
            return False
        self._start()
        return True


def _joined(one: tuple[float, float], other: tuple[float, float], n: int) -> tuple[float, float]:
    """Two buckets of n values each."""
    return one[0] + other[0], one[1] + other[1] + (one[0] - other[0]) ** 2 / (2 * n)


def _check(value: float) -> None:
    if not math.isfinite(value):
        raise BadScores(f"the value is {value!r}: expected a finite number")
