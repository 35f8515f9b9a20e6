"""When a budget begins anew: calendar windows in a time zone, rolling windows, or never.

A window is a function of the time alone, and what was spent is kept by window: a clock that jumps ahead and
back finds the window it left, with what was spent in it, and nothing is reset twice.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

PERIODS: Final = ("hour", "day", "week", "month", "year")
N_BUCKETS: Final = 60
"""Of a rolling window: what was spent leaves it in steps of so small a part, late rather than early."""
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Span(msgspec.Struct, frozen=True):
    """Where spending at one moment is booked, and what counts beside it. All in whole Unix seconds."""

    period: int
    """The start of the part that spending is booked to."""
    since: int
    until: int
    """Parts that start within [since, until] count against the limit."""
    resets_at: int | None = None
    """When all of it is over; None: never, or bit by bit."""
    lasts_s: int = 0
    """How long after its start a part stops counting; 0: not by itself."""


class Window(Protocol):
    @property
    def name(self) -> str:
        """Names the books: budgets that change their window start new ones."""
        ...

    def span(self, now: float) -> Span: ...


class Forever:
    """One window that never ends."""

    name = "total"

    def span(self, now: float) -> Span:
        return Span(0, 0, 0)


class Calendar:
    """Hours, days, weeks (from Monday), months and years of a time zone.

    A day on which the clocks change has 23 or 25 hours; a day begins once, also where midnight is skipped or
    comes twice. Hours are whole hours of the zone's clock.
    """

    def __init__(self, period: str, zone: tzinfo = UTC, zone_name: str = "UTC") -> None:
        self._period, self._zone = period, zone
        self.name = f"{period}@{zone_name}"

    def span(self, now: float) -> Span:
        local = datetime.fromtimestamp(now, self._zone)
        if self._period == "hour":
            offset = local.utcoffset()
            shift = 0 if offset is None else int(offset.total_seconds())
            start = math.floor((now + shift) / 3600) * 3600 - shift
            return Span(start, start, start, start + 3600)
        first, after = _dates(self._period, local.date())
        start = self._begins(first)
        return Span(start, start, start, self._begins(after))

    def _begins(self, day: date) -> int:
        """The first moment of a date: where midnight is skipped, when the clocks jump over it."""
        return math.floor(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())


def _dates(period: str, today: date) -> tuple[date, date]:
    """The first date of the window around `today`, and that of the next one."""
    if period == "day":
        return today, today + timedelta(days=1)
    if period == "week":
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=7)
    if period == "month":
        first = today.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    return date(today.year, 1, 1), date(today.year + 1, 1, 1)


class Rolling:
    """The last `length_s` seconds before any moment.

    Spending is booked in parts of a sixtieth. A part counts until all of it has left the window, and so
    does one within a window's length ahead, which a clock that jumped back left there: whatever the clock
    does, no window of this length holds more than the limit.
    """

    def __init__(self, length_s: float) -> None:
        self.part_s = max(math.ceil(length_s / N_BUCKETS), 1)
        self.length_s = math.ceil(length_s)
        self.name = f"rolling-{self.length_s}"

    def span(self, now: float) -> Span:
        part = self.part_s
        period = math.floor(now / part) * part
        oldest = math.floor((now - self.length_s) / part) * part
        newest = math.floor((now + self.length_s) / part) * part
        return Span(period, oldest, newest, None, self.length_s + part)


def duration_s(text: str) -> float:
    """Seconds of "30m", "24h", "7d".

    Examples
    --------
    >>> duration_s("1.5h")
    5400.0

    Raises
    ------
    ValueError
        If it is none, or shorter than a second or longer than a hundred years.
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found.group(1)) * _UNITS_S[found.group(2)] if found else 0.0
    if not 1 <= seconds <= 100 * 366 * 86400:
        raise ValueError(f"{text!r} is no length of time; expected such as 30m, 24h or 7d")
    return seconds


def window(every: str | None, rolling: str | None, zone: str = "UTC") -> Window:
    """The window that a budget names; neither of both is one that never ends.

    Raises
    ------
    ValueError
        If both are given, or one of them or the zone is unknown.
    """
    if every is not None and rolling is not None:
        raise ValueError("`every` (the calendar's) and `rolling` exclude each other; give one")
    if rolling is not None:
        return Rolling(duration_s(rolling))
    if every is None:
        return Forever()
    if every not in PERIODS:
        raise ValueError(f"every {every!r} is no window; known: {', '.join(PERIODS)}")
    try:
        return Calendar(every, UTC if zone == "UTC" else ZoneInfo(zone), zone)
    except (KeyError, ValueError, OSError):  # unknown; no name at all; a directory of the database
        raise ValueError(f"the time zone {zone!r} is not known; expected such as Europe/Berlin") from None
