"""Counters and histograms of the gateway, in Prometheus' text format.

Labels are candidates of the panel, statuses and route names: none is taken from a request, so the number
of series is bounded by the configuration. One object per candidate keeps a request down to a few additions.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from suffice.types import Attempt, Record

LATENCY_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0)
DECISION_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)
NOBODY: Final = ""
"""The candidate of a request that none answered."""

Labels = Sequence[tuple[str, str]]


class Histogram:
    """Counts per bucket, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        """Cumulative buckets, sum and count."""
        seen = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield _line(f"{name}_bucket", (*labels, ("le", bound)), seen)
        yield _line(f"{name}_sum", labels, self.total)
        yield _line(f"{name}_count", labels, seen)


class Meter:
    """What is counted of one candidate."""

    __slots__ = (
        "attempts_failed", "baseline_usd", "completion_tokens", "cost_usd", "first_token", "latency",
        "prompt_tokens", "statuses", "unpriced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.latency = Histogram(LATENCY_S)
        self.first_token = Histogram(LATENCY_S)
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cost_usd = Decimal(0)
        self.baseline_usd = Decimal(0)
        self.unpriced = 0
        self.attempts_failed = 0

    def saw(self, record: Record) -> None:
        status, usage = record.status, record.usage
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latency.observe(record.latency_s)
        if record.first_token_s is not None:
            self.first_token.observe(record.first_token_s)
        if usage.prompt_tokens is not None:
            self.prompt_tokens += usage.prompt_tokens
        if usage.completion_tokens is not None:
            self.completion_tokens += usage.completion_tokens
        if record.cost_usd is not None:
            self.cost_usd += record.cost_usd
        elif status == 200:
            self.unpriced += 1
        if record.baseline_usd is not None:
            self.baseline_usd += record.baseline_usd


class Metrics:
    """All that `GET /metrics` shows of this process."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._meters: dict[str, Meter] = {}
        self._decision = Histogram(DECISION_S)
        self._failures: dict[tuple[str, int], int] = {}
        self._started_at = time.time()

    def saw(self, record: Record) -> None:
        """A request that reached the engine and left a record."""
        self._meter(record.candidate or NOBODY).saw(record)
        if record.decision.decision_s:
            self._decision.observe(record.decision.decision_s)
        if len(record.attempts) > 1 or record.status != 200:
            for attempt in record.attempts:
                if attempt.error is not None:
                    self._meter(attempt.candidate).attempts_failed += 1

    def failed(self, status: int, attempts: Iterable[Attempt]) -> None:
        """A request that every candidate failed."""
        statuses = self._meter(NOBODY).statuses
        statuses[status] = statuses.get(status, 0) + 1
        for attempt in attempts:
            self._meter(attempt.candidate).attempts_failed += 1

    def refused(self, route: str, status: int) -> None:
        """A request that left no record."""
        self._failures[route, status] = self._failures.get((route, status), 0) + 1

    def _meter(self, candidate: str) -> Meter:
        meter = self._meters.get(candidate)
        if meter is None:
            meter = self._meters[candidate] = Meter()
        return meter

    def text(self, store: Mapping[str, Any]) -> str:
        """The exposition; `store` is what `Store.stats` says."""
        lines: list[str] = []
        for name, kind, text, samples in (*self._families(), *_store_families(store)):
            lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}")
            lines += samples
        return "\n".join(lines) + "\n"

    def _families(self) -> Iterator[tuple[str, str, str, Iterable[str]]]:
        meters = [((("candidate", name),), meter) for name, meter in sorted(self._meters.items())]
        name = "suffice_requests_total"
        yield (
            name,
            "counter",
            "Requests that reached the engine, by who answered and status.",
            [
                _line(name, (*labels, ("status", str(status))), count)
                for labels, meter in meters
                for status, count in sorted(meter.statuses.items())
            ],
        )
        name = "suffice_refusals_total"
        yield (
            name,
            "counter",
            "Requests answered with an error before any candidate was asked.",
            [
                _line(name, (("route", route), ("status", str(status))), count)
                for (route, status), count in sorted(self._failures.items())
            ],
        )
        for name, attribute, text in (
            ("suffice_request_seconds", "latency", "Time from request to the end of the answer."),
            ("suffice_first_token_seconds", "first_token", "Time to the first streamed content."),
        ):
            yield (
                name,
                "histogram",
                text,
                [line for labels, meter in meters for line in getattr(meter, attribute).lines(name, labels)],
            )
        name = "suffice_decision_seconds"
        yield name, "histogram", "Time to choose a candidate.", self._decision.lines(name, ())
        name = "suffice_tokens_total"
        yield (
            name,
            "counter",
            "Tokens, as the providers reported them.",
            [
                _line(name, (*labels, ("kind", kind)), count)
                for labels, meter in meters
                for kind, count in (("prompt", meter.prompt_tokens), ("completion", meter.completion_tokens))
            ],
        )
        for name, attribute, text in (
            ("suffice_cost_usd_total", "cost_usd", "What the answers cost; unpriced ones are not in it."),
            ("suffice_baseline_usd_total", "baseline_usd", "What the strongest candidate would have cost."),
            ("suffice_unpriced_requests_total", "unpriced", "Answers whose cost is unknown."),
            ("suffice_failed_attempts_total", "attempts_failed", "Failed calls, each a retry or fallback."),
        ):
            yield (
                name,
                "counter",
                text,
                [_line(name, labels, getattr(each, attribute)) for labels, each in meters],
            )
        name = "suffice_requests_in_flight"
        yield name, "gauge", "Requests being answered now.", [_line(name, (), self.in_flight)]
        name = "process_start_time_seconds"
        yield (
            name,
            "gauge",
            "Unix time at which this process began to serve.",
            [_line(name, (), self._started_at)],
        )


def _store_families(stats: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Iterable[str]]]:
    for name, kind, key, text in (
        ("suffice_store_queued_records", "gauge", "queued", "Records waiting to be committed."),
        ("suffice_store_committed_records_total", "counter", "committed", "Records on disk."),
        ("suffice_store_dropped_records_total", "counter", "dropped", "Records dropped: the queue was full."),
        ("suffice_store_rejected_records_total", "counter", "rejected", "Records the database refused."),
        ("suffice_store_size_bytes", "gauge", "bytes", "The database and its log on disk."),
    ):
        if isinstance(stats.get(key), int | float):
            yield name, kind, text, [_line(name, (), stats[key])]
    name = "suffice_store_lost_records_total"
    yield (
        name,
        "counter",
        "Records lost over the life of the database.",
        [
            _line(name, (("reason", reason),), amount["records"])
            for reason, amount in sorted((stats.get("lost") or {}).items())
        ],
    )


def _line(name: str, labels: Labels, value: float | Decimal) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    shown = f"{value:f}" if isinstance(value, Decimal) else repr(value)
    return f"{name}{{{inside}}} {shown}" if inside else f"{name} {shown}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
