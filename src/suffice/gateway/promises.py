"""Confidences and promises as families of Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from suffice.gateway.drift import Drift, stability_index
from suffice.gateway.exposition import Family, line

if TYPE_CHECKING:
    from suffice.plans.confidence import AnswerConfidence
    from suffice.plans.shadow import Shadow


def confidence_families(drift: Drift, confidence: AnswerConfidence | None) -> Iterator[Family]:
    """Nothing where no confidence is configured; gauges only once there is something to show."""
    if confidence is None:
        return
    joined, spread, shares = drift.window, drift.spread, confidence.reference.shares
    name = "suffice_confidence_missing_total"
    yield name, "counter", "Answers without a confidence.", [line(name, (), drift.missing)]
    for name, count, text in (
        ("suffice_confidence_window_feedback", joined.n, "Feedback that the next three rest on."),
        ("suffice_confidence_window_answers", sum(spread), "Answers that the drift rests on."),
    ):
        yield name, "gauge", text, [line(name, (), count)]
    if joined.n:
        for name, value, text in (
            ("suffice_confidence_gap", joined.gap, "Mean confidence less mean feedback, recently."),
            (
                "suffice_confidence_calibration_error",
                joined.calibration_error,
                "Expected calibration error against feedback, in ten cells.",
            ),
            ("suffice_confidence_brier_score", joined.brier_score, "Mean squared difference to feedback."),
        ):
            yield name, "gauge", text, [line(name, (), value)]
    if sum(spread) and len(shares) == len(spread):
        name = "suffice_confidence_drift_psi"
        text = "Population stability index of confidences against those that the calibrator was fitted to."
        yield name, "gauge", text, [line(name, (), stability_index(spread, shares))]


def guarantee_families(promises: Mapping[str, Shadow]) -> Iterator[Family]:
    """By pipeline with the policy `guarantee`; all workers share what the monitor knows."""
    if not promises:
        return
    about = [((("pipeline", name),), shadow) for name, shadow in sorted(promises.items())]
    monitors = [(labels, shadow.watch.monitor) for labels, shadow in about]
    tallies = [(labels, shadow.watch.tally) for labels, shadow in about]
    rows = (
        (
            "suffice_guarantee_threshold", "gauge", "Score from which on the cheap model answers.",
            [(labels, shadow.policy.certificate.threshold) for labels, shadow in about],
        ),
        (
            "suffice_guarantee_epsilon", "gauge", "What was promised to be lost at most.",
            [(labels, shadow.policy.certificate.epsilon) for labels, shadow in about],
        ),
        (
            "suffice_guarantee_withdrawn", "gauge", "1 once the promise was withdrawn.",
            [(labels, int(shadow.policy.withdrawn is not None)) for labels, shadow in about],
        ),
        (
            "suffice_guarantee_shadows", "gauge", "Shadowed requests that the monitor knows.",
            [(labels, monitor.n) for labels, monitor in monitors],
        ),
        (
            "suffice_guarantee_mean_drop", "gauge", "What they lost on average.",
            [(labels, monitor.mean_drop) for labels, monitor in monitors],
        ),
        (
            "suffice_guarantee_drop_lower_bound", "gauge", "What is lost at least, as sure as the promise.",
            [(labels, monitor.lower_bound) for labels, monitor in monitors],
        ),
        (
            "suffice_guarantee_shadows_failed_total", "counter", "Comparisons that came to nothing.",
            [(labels, tally.failed) for labels, tally in tallies],
        ),
        (
            "suffice_guarantee_shadows_skipped_total", "counter", "Not begun: too many were open.",
            [(labels, tally.skipped) for labels, tally in tallies],
        ),
        (
            "suffice_guarantee_shadow_cost_usd_total", "counter", "What shadows and their judge cost.",
            [(labels, tally.cost_usd) for labels, tally in tallies],
        ),
    )  # fmt: skip
    for name, kind, text, samples in rows:
        yield name, kind, text, [line(name, labels, value) for labels, value in samples if value is not None]
