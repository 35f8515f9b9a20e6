"""Policies that learn as families of Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from suffice.gateway.exposition import Family, line

if TYPE_CHECKING:
    from suffice.plans.learning import Learner


def learning_families(learners: Mapping[str, Learner]) -> Iterator[Family]:
    """As this worker knows it; all learn the same, within a second or two."""
    if not learners:
        return
    name = "suffice_learning_feedback"
    yield (
        name,
        "gauge",
        "Feedback that the policy learnt from, or why it did not.",
        [
            line(name, (("pipeline", pipeline), ("outcome", outcome)), count)
            for pipeline, one in learners.items()
            for outcome, count in sorted(one.counts.items())
        ],
    )
    paced = {pipeline: one.policy.pace for pipeline, one in learners.items() if one.policy.pace is not None}
    if paced:
        name = "suffice_learning_left_usd"
        samples = [line(name, (("pipeline", key),), one.pacer.left_usd) for key, one in paced.items()]
        yield name, "gauge", "What is left of the policy's budget for the day.", samples
