"""Learning curves: what more training queries would bring."""

from __future__ import annotations

from html import escape
from typing import Final

from suffice.evaluation import Comparison
from suffice.reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, frame
from suffice.reports.grids import growth_measure
from suffice.reports.looks import GREY, GREY_DASH, look, shown
from suffice.reports.svg import Scale, element, polyline

_NAMES: Final = {"aiq": "AIQ", "apgr": "APGR", "max_quality": "quality"}
Points = list[tuple[int, float]]


def growth(comparison: Comparison) -> str | None:
    """One SVG element; None where no learning curve was asked for."""
    measure = growth_measure(comparison)
    curves: dict[str, Points] = {}
    for name, sizes in comparison.details.learning_curve.items():
        found = [(size.n_train, getattr(size, measure)) for size in sizes]
        curves[name] = [(n, value) for n, value in found if value is not None]
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return None
    reference = _reference(comparison, measure)
    values = [value for _, value in points] + ([] if reference is None else [reference])
    counts = [n for n, _ in points]
    margin = 0.06 * (max(values) - min(values)) or 0.01
    x = Scale(low=min(counts) / 1.1, high=max(counts) * 1.1, start=LEFT, end=WIDTH - RIGHT, is_log=True)
    y = Scale(low=min(values) - margin, high=max(values) + margin, start=HEIGHT - BOTTOM, end=TOP)
    parts = [frame(x, y, "training queries", _NAMES[measure])]
    if reference is not None:
        ends = [(float(LEFT), y(reference)), (float(WIDTH - RIGHT), y(reference))]
        parts.append(polyline(ends, stroke=GREY, stroke_width=2, stroke_dasharray=GREY_DASH))
    for place, name in enumerate(shown(comparison)):
        if name in curves:
            parts.append(_line(name, curves[name], x, y, place))
    described = f"{_NAMES[measure]} on the test queries over the number of training queries, by router."
    return figure("Learning curves", described, "".join(parts))


def _reference(comparison: Comparison, measure: str) -> float | None:
    if measure == "aiq":
        return comparison.baselines.zero_router.aiq
    return 0.5 if measure == "apgr" else comparison.baselines.best_single.quality


def _line(name: str, curve: Points, x: Scale, y: Scale, place: int) -> str:
    colour, dash = look(place)
    places = [(x(n), y(value)) for n, value in curve]
    dots = []
    for (n, value), (px, py) in zip(curve, places, strict=True):
        tip = element("title", escape(f"{name}, {n:,} queries: {value:.3f}"))
        dots.append(element("circle", tip, cx=px, cy=py, r=4, fill=colour))
    return polyline(places, stroke=colour, stroke_width=2.2, stroke_dasharray=dash or "none") + "".join(dots)
