"""When an experiment goes on to its next stage, is promoted, or rolled back."""

from __future__ import annotations

import msgspec

from suffice.experiments.progress import Progress, is_breached
from suffice.experiments.settings import Experiment
from suffice.metrics import ratio_mismatch

Bounds = tuple[float | None, float | None]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the difference, treatment less control, at any time one looks."""

    quality: float | None
    quality_bounds: Bounds
    """None: unbounded yet."""
    cost_usd: float | None
    """Per request."""
    cost_bounds_usd: Bounds
    judged: tuple[int, int]
    requests: tuple[int, int]
    failures: tuple[int, int]
    units: tuple[int, int]
    """Users, else sessions, else requests: control, treatment."""
    is_split_wrong: bool
    """Units are not split as they should be: something loses one arm's records, and nothing is promoted."""


def findings(experiment: Experiment, progress: Progress) -> Findings:
    """From the sums so far."""
    is_score = experiment.metric == "score"
    quality = progress.quality.bounds(
        alpha=experiment.alpha, n_target=experiment.n_target, spread=1.0 if is_score else 0.0
    )
    is_split = experiment.kind != "shadow"
    cost = progress.cost.bounds(alpha=experiment.alpha, n_target=experiment.n_target)
    return Findings(
        quality=progress.quality.estimate,
        quality_bounds=_known(quality, min(progress.quality.n) >= experiment.least),
        cost_usd=progress.cost.estimate,
        cost_bounds_usd=_known(cost, min(progress.cost.n) >= experiment.least),
        judged=_pair(progress.quality.n),
        requests=_pair(progress.requests),
        failures=_pair(progress.failures),
        units=_pair(progress.units),
        is_split_wrong=is_split and ratio_mismatch(progress.excess, progress.ratio_variance),
    )


def settle(experiment: Experiment, progress: Progress, now: float) -> None:
    """Roll back, promote, or go to the next stage, where what is known asks for it.

    Rolled back: the quality's upper bound is below -margin, or a guardrail is breached. Promoted: the
    quality's lower bound is above -margin and the cost's upper bound below its limit. Next stage: `least`
    answers of the treatment were judged in this one. To find a regression takes some number of treated
    answers, about the same at any share: small stages make them come slowly, not fewer.
    """
    if not progress.is_running:
        return
    found = findings(experiment, progress)
    against = _against(experiment, progress, found)
    if against is not None:
        _end(progress, "failed" if experiment.kind == "shadow" else "rolled back", against, now)
        return
    if found.is_split_wrong:
        return
    speaks_for = _speaks_for(experiment, found)
    if speaks_for is not None:
        _end(progress, "passed" if experiment.kind == "shadow" else "promoted", speaks_for, now)
        return
    is_last = progress.stage + 1 == len(experiment.shares)
    if not is_last and progress.quality.n[1] - progress.judged_before >= experiment.least:
        progress.stage += 1
        progress.judged_before = progress.quality.n[1]


def _against(experiment: Experiment, progress: Progress, found: Findings) -> str | None:
    if is_breached(progress.errors):
        n, failed = progress.requests[1], progress.failures[1]
        return f"{failed} of {n} requests failed, surely more than {experiment.max_error_rate:.1%}"
    if is_breached(progress.slow):
        return f"surely more than 5 % of answers take over {experiment.max_p95_s:g} s"
    high = found.quality_bounds[1]
    if high is not None and high < -experiment.margin:
        return f"quality is worse by at least {-high:.3f}, more than the margin of {experiment.margin:g}"
    return None


def _speaks_for(experiment: Experiment, found: Findings) -> str | None:
    low, limit = found.quality_bounds[0], experiment.max_cost_increase_usd
    if low is None or not low > -experiment.margin:
        return None
    said = f"quality is worse by at most {abs(low):.3f}"
    if low > 0:
        said = f"quality is better by at least {low:.3f}"
    if limit is None:
        return said
    high = found.cost_bounds_usd[1]
    if high is None or not high < limit:
        return None
    saved = f"lower by at least ${-high:.2g}" if high < 0 else f"higher by at most ${high:.2g}"
    return f"{said}, cost {saved}"


def _end(progress: Progress, status: str, why: str, now: float) -> None:
    progress.status, progress.why, progress.ended_at = status, why, now


def _known(bounds: tuple[float, float], is_enough: bool) -> Bounds:
    return bounds if is_enough else (None, None)


def _pair(values: list[int]) -> tuple[int, int]:
    return values[0], values[1]
