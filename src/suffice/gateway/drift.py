"""Whether confidences still mean what they say, from feedback, and whether they are spread as they were.

Both look at a moving window: two halves, of which the older is dropped when the younger is full.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from suffice.metrics import Adwin, PageHinkley
from suffice.types import Record

_log = logging.getLogger("suffice.gateway")

N_CELLS: Final = 10
HALF_FEEDBACK: Final = 500
HALF_ANSWERS: Final = 5_000
_LEAST_SHARE: Final = 1e-4
"""A cell that was empty in the reference counts as having held this share."""


class Joined(msgspec.Struct):
    """Confidences and the feedback on the same answers, by equal-width cells of confidence."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * N_CELLS)
    confidence: list[float] = msgspec.field(default_factory=lambda: [0.0] * N_CELLS)
    feedback: list[float] = msgspec.field(default_factory=lambda: [0.0] * N_CELLS)
    squares: float = 0.0

    def observe(self, confidence: float, feedback: float) -> None:
        """Both in [0, 1]; cells are right-closed, 0 joins the first."""
        cell = min(max(math.ceil(confidence * N_CELLS) - 1, 0), N_CELLS - 1)
        self.counts[cell] += 1
        self.confidence[cell] += confidence
        self.feedback[cell] += feedback
        self.squares += (confidence - feedback) ** 2

    def add(self, other: Joined) -> None:
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.confidence = [a + b for a, b in zip(self.confidence, other.confidence, strict=True)]
        self.feedback = [a + b for a, b in zip(self.feedback, other.feedback, strict=True)]
        self.squares += other.squares

    @property
    def n(self) -> int:
        return sum(self.counts)

    @property
    def gap(self) -> float:
        """Mean confidence less mean feedback; n at least 1."""
        return (sum(self.confidence) - sum(self.feedback)) / self.n

    @property
    def calibration_error(self) -> float:
        """Expected calibration error; n at least 1."""
        return sum(abs(a - b) for a, b in zip(self.confidence, self.feedback, strict=True)) / self.n

    @property
    def brier_score(self) -> float:
        """n at least 1."""
        return self.squares / self.n


class Residuals(msgspec.Struct):
    """Feedback less the router's score, of one candidate, since the start."""

    n: int = 0
    total: float = 0.0
    adwin: int = 0
    """Alarms, as is the next."""
    page_hinkley: int = 0

    def add(self, other: Residuals) -> None:
        self.n += other.n
        self.total += other.total
        self.adwin += other.adwin
        self.page_hinkley += other.page_hinkley


class Detectors:
    """Watch the residuals of every candidate in this process; they begin anew when it does."""

    def __init__(self) -> None:
        self._by_arm: dict[str, tuple[Adwin, PageHinkley]] = {}

    def heard(self, arm: str, residual: float, counted: Residuals) -> None:
        """Take a residual of a candidate of the panel, and count the alarms."""
        if arm not in self._by_arm:
            self._by_arm[arm] = Adwin(), PageHinkley()
        adwin, page_hinkley = self._by_arm[arm]
        counted.n += 1
        counted.total += residual
        has_changed, has_fallen = adwin.update(residual), page_hinkley.update(residual)
        counted.adwin += has_changed
        counted.page_hinkley += has_fallen
        if has_changed or has_fallen:
            _log.warning(
                "drift: feedback on %s less its score has %s; the router may be out of date",
                arm,
                "fallen" if has_fallen else "changed",
            )


class Drift(msgspec.Struct):
    """Of one process."""

    joined: Joined = msgspec.field(default_factory=Joined)
    joined_before: Joined = msgspec.field(default_factory=Joined)
    cells: list[int] = []
    """Answers by cell of the calibrator's reference."""
    cells_before: list[int] = []
    missing: int = 0
    """Answers of which no confidence could be had."""
    residuals: dict[str, Residuals] = {}
    """By candidate."""

    def saw(self, record: Record, edges: Sequence[float]) -> None:
        """An answer; edges are those of the reference, none where there is no reference."""
        confidence = record.confidence
        if confidence is None:
            self.missing += record.no_confidence is not None
            return
        if sum(self.cells) >= HALF_ANSWERS:
            self.cells_before, self.cells = self.cells, []
        if not self.cells:
            self.cells = [0] * (len(edges) + 1)
        self.cells[bisect_left(edges, confidence)] += 1

    def heard(self, confidence: float, feedback: float) -> None:
        if self.joined.n >= HALF_FEEDBACK:
            self.joined_before, self.joined = self.joined, Joined()
        self.joined.observe(confidence, feedback)

    def add(self, other: Drift) -> None:
        self.joined.add(other.joined)
        self.joined_before.add(other.joined_before)
        self.cells = _sum(self.cells, other.cells)
        self.cells_before = _sum(self.cells_before, other.cells_before)
        self.missing += other.missing
        for arm, one in other.residuals.items():
            self.residuals.setdefault(arm, Residuals()).add(one)

    @property
    def window(self) -> Joined:
        """Both halves."""
        both = Joined()
        both.add(self.joined_before)
        both.add(self.joined)
        return both

    @property
    def spread(self) -> list[int]:
        """Both halves, by cell."""
        return _sum(self.cells, self.cells_before)


def stability_index(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Population stability index: sum (p - q) ln(p / q), 0 where both are the same.

    Half a count is added to every cell, so that an empty one stays finite.

    Examples
    --------
    >>> stability_index([500, 500], [0.5, 0.5])
    0.0
    """
    n = sum(counts) + 0.5 * len(counts)
    pairs = [((count + 0.5) / n, max(q, _LEAST_SHARE)) for count, q in zip(counts, shares, strict=True)]
    return sum((p - q) * math.log(p / q) for p, q in pairs)


def _sum(some: list[int], more: list[int]) -> list[int]:
    if len(some) != len(more):
        return [*(some or more)]
    return [a + b for a, b in zip(some, more, strict=True)]
