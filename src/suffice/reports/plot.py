"""The cost-quality plot of a comparison: routers as lines, models as named dots, oracle as a star."""

from __future__ import annotations

from html import escape
from typing import Final

import numpy as np

from suffice.evaluation import Comparison
from suffice.evaluation.comparison import SingleModel
from suffice.metrics import Hull, hull_at, upper_hull
from suffice.reports.svg import Scale, element, polyline, text

WIDTH: Final = 960
HEIGHT: Final = 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 210, 20, 52
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a5bd1", "#5b5b5b")
"""Okabe and Ito: told apart with any kind of colour vision."""
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
_LOG_FROM: Final = 12
"""Costs that span a greater ratio are drawn on a log scale."""
_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def plot(comparison: Comparison) -> str | None:
    """One SVG element; None without costs."""
    if comparison.cost_range_usd_per_1k is None:
        return None
    x, y = _scales(comparison)
    curves = _curves(comparison)
    zero = _hull_of(comparison.baselines.zero_router.curve)
    parts = [
        _axes(x, y),
        _line(zero, x, y, "#777777", "4 4", 1.5),
        *(_line(hull, x, y, *_look(k), 2.2) for k, hull in enumerate(curves.values())),
        _models(comparison, x, y),
        _star(comparison, x, y),
        _legend(tuple(curves)),
    ]
    described = (
        "Quality over cost in USD per 1,000 queries. Lines: what each router offers; dashed grey: single "
        "models mixed by lot. Dots: single models. Star: oracle. The table below has the figures."
    )
    head = element("title", "Cost and quality") + element("desc", described)
    return element(
        "svg",
        head + "".join(parts),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def _curves(comparison: Comparison) -> dict[str, Hull]:
    found = {}
    for name, result in comparison.routers.items():
        costs = [point.cost_usd_per_1k for point in result.curve if point.cost_usd_per_1k is not None]
        found[name] = upper_hull(costs, [point.quality for point in result.curve])
    return found


def _hull_of(models: tuple[SingleModel, ...]) -> Hull:
    return upper_hull([model.cost_usd_per_1k or 0.0 for model in models], [m.quality for m in models])


def _scales(comparison: Comparison) -> tuple[Scale, Scale]:
    oracle = comparison.baselines.oracle
    costs = [model.cost_usd_per_1k or 0.0 for model in comparison.details.singles]
    costs.append(oracle.cost_usd_per_1k or 0.0)
    qualities = [model.quality for model in comparison.details.singles] + [oracle.quality]
    positive = [cost for cost in costs if cost > 0] or [1.0]
    is_log = min(costs) > 0 and max(costs) / min(costs) > _LOG_FROM
    low, high = (min(positive) / 1.15, max(positive) * 1.15) if is_log else (0.0, max(positive) * 1.05)
    margin = 0.06 * (max(qualities) - min(qualities)) or 0.05
    x = Scale(low=low, high=high, start=_LEFT, end=WIDTH - _RIGHT, is_log=is_log)
    bottom, top = max(0.0, min(qualities) - margin), max(qualities) + margin
    return x, Scale(low=bottom, high=top, start=HEIGHT - _BOTTOM, end=_TOP)


def _axes(x: Scale, y: Scale) -> str:
    grid: dict[str, object] = {"stroke": "currentColor", "stroke_opacity": 0.14}
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for mark in x.ticks():
        at = x(mark)
        parts.append(element("line", x1=at, x2=at, y1=_TOP, y2=bottom, **grid))
        parts.append(text(f"{mark:.6g}", at, bottom + 18, text_anchor="middle"))
    for mark in y.ticks():
        at = y(mark)
        parts.append(element("line", x1=_LEFT, x2=right, y1=at, y2=at, **grid))
        parts.append(text(f"{mark:.6g}", _LEFT - 8, at + 4, text_anchor="end"))
    middle = (_LEFT + right) / 2
    parts.append(text("USD per 1,000 queries", middle, HEIGHT - 10, text_anchor="middle"))
    turned = f"rotate(-90 16 {(_TOP + bottom) / 2})"
    parts.append(text("quality", 16, (_TOP + bottom) / 2, text_anchor="middle", transform=turned))
    return "".join(parts)


def _look(k: int) -> tuple[str, str]:
    return _COLOURS[k % len(_COLOURS)], _DASHES[k % len(_DASHES)]


def _line(hull: Hull, x: Scale, y: Scale, colour: str, dash: str, width: float) -> str:
    """The hull, straight in cost and therefore sampled: bent on a log scale; flat to the right."""
    first = max(float(hull.costs[0]), x.low)
    costs = np.geomspace(first, x.high, 120) if x.is_log else np.linspace(first, x.high, 120)
    costs = np.unique(np.concatenate([costs, hull.costs[(hull.costs >= first) & (hull.costs <= x.high)]]))
    points = [(x(float(c)), y(float(q))) for c, q in zip(costs, hull_at(hull, costs), strict=True)]
    points = [(px, min(py, float(y.start))) for px, py in points]
    return polyline(points, stroke=colour, stroke_width=width, stroke_dasharray=dash or "none")


def _models(comparison: Comparison, x: Scale, y: Scale) -> str:
    """A dot for every model, and its name where it covers no other; the tooltip always has it."""
    corners = {model.model for model in comparison.baselines.zero_router.curve}
    models = sorted(comparison.details.singles, key=lambda model: model.model not in corners)
    places = [(x(model.cost_usd_per_1k or 0.0), y(model.quality)) for model in models]
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in places]
    parts = []
    for model, (px, py) in zip(models, places, strict=True):
        tip = f"{model.model}: quality {model.quality:.3f}, {model.cost_usd_per_1k:.3g} USD per 1,000"
        dot = element("circle", element("title", escape(tip)), cx=px, cy=py, r=4, fill="currentColor")
        parts.append(dot)
        label = model.model if len(model.model) <= 28 else model.model[:27] + "…"
        box = _free_box(px, py, 6.0 * len(label), taken)
        if box is not None:
            taken.append(box)
            parts.append(text(label, box[0], box[3] - 3, font_size=11))
    return "".join(parts)


def _free_box(px: float, py: float, width: float, taken: list[_Box]) -> _Box | None:
    """Where a label beside a dot covers nothing: below right, above right, then the same to the left."""
    for left in (px + 6, px - 6 - width):
        for top in (py + 1, py - 15, py - 7):
            box = (left, top, left + width, top + 14)
            inside = left >= _LEFT and left + width <= WIDTH - _RIGHT
            if inside and not any(_overlap(box, other) for other in taken):
                return box
    return None


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _star(comparison: Comparison, x: Scale, y: Scale) -> str:
    oracle = comparison.baselines.oracle
    px, py = x(oracle.cost_usd_per_1k or 0.0), y(oracle.quality)
    return text("★", px, py + 7, text_anchor="middle", font_size=20, fill="#b8860b") + text(
        "oracle", px + 12, py + 5, font_size=11
    )


def _legend(names: tuple[str, ...]) -> str:
    start = WIDTH - _RIGHT + 20
    entries = [(name, *_look(k)) for k, name in enumerate(names)] + [("zero router", "#777777", "4 4")]
    parts = []
    for row, (name, colour, dash) in enumerate(entries):
        at = _TOP + 14 + 22 * row
        ends = [(start, at), (start + 30, at)]
        parts.append(polyline(ends, stroke=colour, stroke_width=2.5, stroke_dasharray=dash or "none"))
        parts.append(text(name if len(name) <= 24 else "…" + name[-23:], start + 38, at + 4))
    return "".join(parts)
