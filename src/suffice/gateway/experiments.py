"""Experiments and drift as families of Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from suffice.experiments import Findings, findings
from suffice.gateway.drift import Residuals
from suffice.gateway.exposition import Family, Labels, line

if TYPE_CHECKING:
    from suffice.store.experiments import Standing


def experiment_families(standing: Iterable[Standing]) -> Iterator[Family]:
    """Of those that split traffic now or ended lately; all workers share what is known."""
    about: list[tuple[Labels, Standing, Findings]] = [
        ((("experiment", one.experiment.name),), one, findings(*one)) for one in standing
    ]
    if not about:
        return
    name = "suffice_experiment_share"
    text = "Share of the control's traffic that the treatment gets; 1 once it is promoted, 0 once it ended."
    samples = [line(name, labels, one.progress.share(one.experiment)) for labels, one, _ in about]
    yield name, "gauge", text, samples
    name = "suffice_experiment_status"
    text = "1 for what it is: running, promoted, rolled back, passed, failed or stopped."
    samples = [line(name, (*labels, ("status", one.progress.status)), 1) for labels, one, _ in about]
    yield name, "gauge", text, samples
    for name, text, rows in (
        (
            "suffice_experiment_quality_difference",
            "Quality of the treatment less that of the control, and its bounds.",
            [(labels, (known.quality, *known.quality_bounds)) for labels, _, known in about],
        ),
        (
            "suffice_experiment_cost_difference_usd",
            "Cost per request of the treatment less that of the control, and its bounds.",
            [(labels, (known.cost_usd, *known.cost_bounds_usd)) for labels, _, known in about],
        ),
    ):
        yield (
            name,
            "gauge",
            text,
            [
                line(name, (*labels, ("of", of)), value)
                for labels, values in rows
                for of, value in zip(("estimate", "low", "high"), values, strict=True)
                if value is not None
            ],
        )
    for name, text, counts in (
        (
            "suffice_experiment_requests",
            "Requests.",
            [(labels, known.requests) for labels, _, known in about],
        ),
        (
            "suffice_experiment_judged",
            "Judged answers.",
            [(labels, known.judged) for labels, _, known in about],
        ),
    ):
        yield (
            name,
            "gauge",
            text,
            [
                line(name, (*labels, ("arm", arm)), count)
                for labels, pair in counts
                for arm, count in zip(("control", "treatment"), pair, strict=True)
            ],
        )
    name = "suffice_experiment_split_wrong"
    text = "1 where users are not split as they should be: something loses one arm's records."
    yield name, "gauge", text, [line(name, labels, int(known.is_split_wrong)) for labels, _, known in about]


def drift_families(residuals: dict[str, Residuals]) -> Iterator[Family]:
    """Of candidates whose answers were judged: whether they are still as good as was predicted."""
    if not residuals:
        return
    rows = sorted(residuals.items())
    name = "suffice_drift_alarms_total"
    yield (
        name,
        "counter",
        "Alarms: feedback less the router's score changed (adwin) or fell (page_hinkley).",
        [
            line(name, (("candidate", arm), ("detector", detector)), getattr(one, detector))
            for arm, one in rows
            for detector in ("adwin", "page_hinkley")
        ],
    )
    name = "suffice_drift_feedback_total"
    text = "Answers with a score by the router and feedback: what the alarms rest on."
    yield name, "counter", text, [line(name, (("candidate", arm),), one.n) for arm, one in rows]
    name = "suffice_drift_residual_sum"
    text = "Sum of feedback less the router's score."
    yield name, "gauge", text, [line(name, (("candidate", arm),), one.total) for arm, one in rows]
