"""What an experiment has seen so far: sums that are written down, and taken up again after a restart."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Final

import msgspec

from suffice.calibration.guarantee import Monitor
from suffice.experiments.settings import Experiment
from suffice.metrics import Difference
from suffice.types import Trial

SLOW_SHARE: Final = 0.05
"""More answers than this above a latency put the 95th percentile above it."""
FAILED: Final = 500
"""From this status on a failure is the gateway's or a provider's, not the client's."""


class Seen(msgspec.Struct, frozen=True):
    """A record that belongs to an experiment."""

    trial: Trial
    cost_usd: float | None
    """A shadow's: less that of the answer it shadows."""
    latency_s: float
    status: int


class Judged(msgspec.Struct, frozen=True):
    """The first feedback on such a record."""

    trial: Trial
    value: float


class Sums(msgspec.Struct):
    """Of one unit, as `Difference.update` wants them back."""

    arm: int
    quality: tuple[float, float] = (0.0, 0.0)
    cost: tuple[float, float] = (0.0, 0.0)


class Progress(msgspec.Struct, kw_only=True):
    """Of one experiment."""

    status: str = "running"
    """running, promoted, rolled back, passed, failed (of a shadow), stopped"""
    why: str = ""
    stage: int = 0
    started_at: float = 0.0
    ended_at: float | None = None
    judged_before: int = 0
    """Judged answers of the treatment when this stage began."""
    quality: Difference = msgspec.field(default_factory=Difference)
    cost: Difference = msgspec.field(default_factory=Difference)
    requests: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    """By arm: control, treatment."""
    failures: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    units: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    excess: float = 0.0
    """Units of the treatment, less their expected number."""
    ratio_variance: float = 0.0
    errors: str = ""
    slow: str = ""
    """Monitors of the guardrails, as they write themselves."""

    @property
    def is_running(self) -> bool:
        return self.status == "running"

    def share(self, experiment: Experiment) -> float:
        """Of the traffic that goes to the treatment now; a shadow's: that is shadowed."""
        if self.status == "promoted":
            return 1.0
        return experiment.shares[self.stage] if self.is_running else 0.0


def advance(
    experiment: Experiment,
    progress: Progress,
    seen: Iterable[Seen],
    judged: Iterable[Judged],
    units: MutableMapping[str, Sums],
) -> None:
    """Take up what is new, in the order in which it came.

    Parameters
    ----------
    units : sums of the units that occur, by unit; new ones are added
    """
    limits = experiment.max_error_rate, SLOW_SHARE
    errors, slow = (
        None if limit is None else _monitor(text, limit, experiment.alpha)
        for text, limit in zip((progress.errors, progress.slow), limits, strict=True)
    )
    for row in seen:
        arm = int(row.trial.arm == "treatment")
        sums = _sums(progress, row.trial, arm, units)
        progress.requests[arm] += 1
        progress.failures[arm] += row.status >= FAILED
        if arm and errors is not None and (row.status == 200 or row.status >= FAILED):
            errors.update(float(row.status >= FAILED))
        if arm and slow is not None and experiment.max_p95_s is not None and row.status == 200:
            slow.update(float(row.latency_s > experiment.max_p95_s))
        if row.cost_usd is None or row.status != 200:
            continue
        if row.trial.of is not None:
            progress.cost.pair(row.cost_usd)
        else:
            sums.cost = progress.cost.update(arm, row.cost_usd, row.trial.share, sums.cost)
    for word in judged:
        if word.trial.of is not None:
            progress.quality.pair(word.value)
            continue
        arm = int(word.trial.arm == "treatment")
        sums = _sums(progress, word.trial, arm, units)
        sums.quality = progress.quality.update(arm, word.value, word.trial.share, sums.quality)
    progress.errors = "" if errors is None else errors.to_json()
    progress.slow = "" if slow is None or experiment.max_p95_s is None else slow.to_json()


def is_breached(text: str) -> bool:
    """Whether a guardrail's monitor found too many."""
    return bool(text) and Monitor.from_json(text).is_withdrawn


def _monitor(text: str, limit: float, alpha: float) -> Monitor:
    return Monitor.from_json(text) if text else Monitor(epsilon=limit, delta=alpha)


def _sums(progress: Progress, trial: Trial, arm: int, units: MutableMapping[str, Sums]) -> Sums:
    """Of the row's unit. One that was in the other arm at an earlier stage goes on with its sums."""
    found = units.get(trial.unit)
    if found is None:
        found = units[trial.unit] = Sums(arm)
        progress.units[arm] += 1
        progress.excess += arm - trial.share
        progress.ratio_variance += trial.share * (1 - trial.share)
    return found
