"""The cost-quality plot of a comparison: lines for routers and plans, named dots for models, a star."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import numpy as np

from suffice.evaluation import Comparison
from suffice.evaluation.figures import SingleModel
from suffice.metrics import Hull, hull_at, upper_hull
from suffice.reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, frame
from suffice.reports.looks import GREY, GREY_DASH, lines, look
from suffice.reports.svg import Scale, element, polyline, text

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
    names = lines(comparison)
    zero = _hull_of(comparison.baselines.zero_router.curve)
    parts = [
        frame(x, y, "USD per 1,000 queries", "quality"),
        *(_line(hull, x, y, GREY, "", 0.8) for name, hull in curves.items() if name not in names),
        _line(zero, x, y, GREY, GREY_DASH, 2.0),
        *(_line(curves[name], x, y, *look(k), 2.2) for k, name in reversed(list(enumerate(names)))),
        _models(comparison, x, y),
        _recommended(comparison, x, y),
        _star(comparison, x, y),
    ]
    described = (
        "Quality over cost in USD per 1,000 queries. Lines: what each router or plan offers; dashed grey: "
        "single models mixed by lot. Dots: single models. Ring: the recommended router at its value. Star: "
        "oracle. The table below has the figures."
    )
    return figure("Cost and quality", described, "".join(parts))


def _curves(comparison: Comparison) -> dict[str, Hull]:
    drawn: dict[str, Any] = {name: result.curve for name, result in comparison.routers.items()}
    drawn |= {name: result.curve for name, result in comparison.plans.items()}
    found = {}
    for name, curve in drawn.items():
        costs = [point.cost_usd_per_1k for point in curve if point.cost_usd_per_1k is not None]
        found[name] = upper_hull(costs, [point.quality for point in curve])
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
    x = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT, is_log=is_log)
    bottom, top = max(0.0, min(qualities) - margin), max(qualities) + margin
    return x, Scale(low=bottom, high=top, start=HEIGHT - BOTTOM, end=TOP)


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
            parts.append(text(label, box[0], box[3] - 3, class_="label"))
    return "".join(parts)


def _free_box(px: float, py: float, width: float, taken: list[_Box]) -> _Box | None:
    """Where a label beside a dot covers nothing: below right, above right, then the same to the left."""
    for left in (px + 6, px - 6 - width):
        for top in (py + 1, py - 15, py - 7):
            box = (left, top, left + width, top + 14)
            inside = left >= LEFT and left + width <= WIDTH - RIGHT
            if inside and not any(_overlap(box, other) for other in taken):
                return box
    return None


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _recommended(comparison: Comparison, x: Scale, y: Scale) -> str:
    chosen = comparison.recommended
    tip = f"{chosen.router} at value_usd {chosen.value_usd}: quality {chosen.quality:.3f}"
    px, py = x(max(chosen.cost_usd_per_1k or 0.0, x.low)), y(chosen.quality)
    style: dict[str, object] = {"fill": "none", "stroke": look(0)[0], "stroke_width": 3}
    return element("circle", element("title", escape(tip)), cx=px, cy=py, r=9, **style)


def _star(comparison: Comparison, x: Scale, y: Scale) -> str:
    oracle = comparison.baselines.oracle
    px, py = x(oracle.cost_usd_per_1k or 0.0), y(oracle.quality)
    return text("★", px, py + 7, text_anchor="middle", font_size=20, fill="#b8860b") + text(
        "oracle", px + 12, py + 5, class_="label"
    )
