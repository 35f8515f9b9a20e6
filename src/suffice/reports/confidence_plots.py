"""What one signal's confidences are worth, in three pictures."""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.evaluation.known_answers import N_BINS
from suffice.metrics import reliability_curve, risk_coverage_curve
from suffice.reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, frame
from suffice.reports.looks import GREY, GREY_DASH, look
from suffice.reports.svg import Scale, element, polyline
from suffice.types import FloatArray

_MAX_POINTS: Final = 400
"""Of a curve: more than a line on a screen can show."""


def reliability_diagram(signal: str, confidence: FloatArray, correct: FloatArray) -> str:
    """Accuracy over confidence, a dot per bin as large as its share of answers; on the diagonal is honest."""
    x, y = _unit_scales()
    curve = reliability_curve(confidence, correct, N_BINS)
    points = [(x(float(c)), y(float(a))) for c, a in zip(curve.confidence, curve.accuracy, strict=True)]
    largest = max(curve.counts)
    dots = [
        element(
            "circle",
            element("title", f"confidence {c:.3f}, accuracy {a:.3f}, {n} answers"),
            cx=px, cy=py, r=3 + 9 * float(n / largest) ** 0.5, fill=look(0)[0], fill_opacity=0.75,
        )
        for (px, py), c, a, n in zip(points, curve.confidence, curve.accuracy, curve.counts, strict=True)
    ]  # fmt: skip
    parts = [
        frame(x, y, f"confidence ({signal})", "accuracy"),
        polyline([(x(0), y(0)), (x(1), y(1))], stroke=GREY, stroke_dasharray=GREY_DASH, stroke_width=2),
        polyline(points, stroke=look(0)[0], stroke_width=1.5),
        *dots,
    ]
    described = f"Accuracy over mean confidence in {N_BINS} bins of equal width; large dots are full bins."
    return figure(f"Reliability of {signal}", described, "".join(parts))


def risk_coverage_plot(signal: str, confidence: FloatArray, correct: FloatArray) -> str:
    """Error among the answers kept, over the share kept; dashed: kept by lot; grey: in the best order."""
    x, y = _unit_scales()
    parts = [frame(x, y, f"share of answers kept, surest first ({signal})", "error among them")]
    error = 1 - float(correct.mean())
    parts.append(
        polyline(
            [(x(0), y(error)), (x(1), y(error))], stroke=GREY, stroke_dasharray=GREY_DASH, stroke_width=2
        )
    )
    for values, colour, width in ((correct, GREY, 1.5), (confidence, look(0)[0], 2.5)):
        curve = risk_coverage_curve(values, correct)
        kept = np.unique(np.linspace(0, len(curve.coverage) - 1, _MAX_POINTS).round().astype(int))
        points = [(x(float(curve.coverage[i])), y(float(curve.risk[i]))) for i in kept]
        parts.append(polyline([(x(0), points[0][1]), *points], stroke=colour, stroke_width=width))
    described = "Risk over coverage. Grey: the best order there is; dashed: answers kept by lot."
    return figure(f"Risk and coverage of {signal}", described, "".join(parts))


def confidence_histogram(signal: str, confidence: FloatArray, correct: FloatArray) -> str:
    """How many answers have which confidence, right ones over wrong ones."""
    edges = np.linspace(0, 1, N_BINS + 1)
    right = np.histogram(confidence[correct > 0], edges)[0]
    whole = np.histogram(confidence, edges)[0]
    x = Scale(low=0, high=1, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=0, high=float(max(whole.max(), 1)), start=HEIGHT - BOTTOM, end=TOP)
    bars = []
    for low, n_right, n in zip(edges, right, whole, strict=False):
        left, width = x(float(low)) + 1, x(1 / N_BINS) - x(0) - 2
        for bottom, top, colour in ((0, n_right, look(0)[0]), (n_right, n, look(1)[0])):
            tall = y(float(bottom)) - y(float(top))
            if tall > 0:
                bars.append(element("rect", x=left, y=y(float(top)), width=width, height=tall, fill=colour))
    described = "Blue: right answers; orange: wrong answers, on top of them."
    parts = [frame(x, y, f"confidence ({signal})", "answers"), *bars]
    return figure(f"Confidences by {signal}", described, "".join(parts))


def _unit_scales() -> tuple[Scale, Scale]:
    return (
        Scale(low=0, high=1, start=LEFT, end=WIDTH - RIGHT),
        Scale(low=0, high=1, start=HEIGHT - BOTTOM, end=TOP),
    )
