"""A small SVG writer: elements, scales and ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import msgspec


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """One element around content that is markup already.

    Underscores in attribute names become hyphens, numbers are shortened.

    Examples
    --------
    >>> element("circle", cx=1.0, r=2, stroke_width=0.5)
    '<circle cx="1" r="2" stroke-width="0.5"/>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(content: str, x: float, y: float, /, **attributes: object) -> str:
    """A label; its content is escaped."""
    return element("text", escape(content), x=x, y=y, **attributes)


def polyline(points: Iterable[tuple[float, float]], **attributes: object) -> str:
    """An open line."""
    path = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
    return element("polyline", points=path, fill="none", **attributes)


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers to pixels, evenly or by ratio."""

    low: float
    high: float
    start: float
    """Pixel of low."""
    end: float
    """Pixel of high."""
    is_log: bool = False

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * self._part(value)

    def _part(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """About five round numbers inside the scale; 1, 2 and 5 of every decade on a log scale."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks: Sequence[float] = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        else:
            step = _round_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            marks = [step * k for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [mark for mark in marks if self.low <= mark <= self.high * (1 + 1e-12)]


def _round_step(width: float) -> float:
    decade = 10.0 ** math.floor(math.log10(width))
    return next(digit * decade for digit in (1.0, 2.0, 5.0, 10.0) if digit * decade >= width * (1 - 1e-9))


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
