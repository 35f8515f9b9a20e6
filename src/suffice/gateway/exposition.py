"""Counts as Prometheus' text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from suffice.gateway.counters import Counts, Histogram, Meter

Labels = Sequence[tuple[str, str]]
Family = tuple[str, str, str, Iterable[str]]
"""Name, kind, help, sample lines."""


def exposition(
    counts: Counts, store: Mapping[str, Any], started_at: float, more: Iterable[Family] = ()
) -> str:
    """The whole page; `store` is what `Store.stats` says of the database."""
    lines: list[str] = []
    families = (*_request_families(counts), *_sum_families(counts), *_store_families(counts, store), *more)
    for name, kind, text, samples in families:
        lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}", *samples)
    lines += (
        "# HELP process_start_time_seconds Unix time at which this process began to serve.",
        "# TYPE process_start_time_seconds gauge",
        line("process_start_time_seconds", (), started_at),
    )
    return "\n".join(lines) + "\n"


def _request_families(counts: Counts) -> Iterator[Family]:
    meters = _labelled(counts)
    name = "suffice_requests_total"
    yield (
        name,
        "counter",
        "Requests that reached the engine, by who answered and status.",
        [
            line(name, (*labels, ("status", str(status))), count)
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
            line(name, (("route", route), ("status", str(status))), count)
            for route, statuses in sorted(counts.refusals.items())
            for status, count in sorted(statuses.items())
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
            [line for labels, meter in meters for line in _buckets(name, labels, getattr(meter, attribute))],
        )
    name = "suffice_decision_seconds"
    yield name, "histogram", "Time to choose a candidate.", _buckets(name, (), counts.decision)
    name = "suffice_requests_in_flight"
    yield name, "gauge", "Requests being answered now.", [line(name, (), counts.in_flight)]
    name = "suffice_budget_events_total"
    yield (
        name,
        "counter",
        "Calls refused, requests warned, degraded or clamped, and calls dearer than foreseen, by budget.",
        [
            line(name, (("budget", budget), ("event", event)), getattr(events, event))
            for budget, events in sorted(counts.budgets.items())
            for event in events.__struct_fields__
        ],
    )


def _sum_families(counts: Counts) -> Iterator[Family]:
    meters = _labelled(counts)
    name = "suffice_tokens_total"
    yield (
        name,
        "counter",
        "Tokens, as the providers reported them.",
        [
            line(name, (*labels, ("kind", kind)), count)
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
        samples = [line(name, labels, getattr(meter, attribute)) for labels, meter in meters]
        yield name, "counter", text, samples


def _store_families(counts: Counts, store: Mapping[str, Any]) -> Iterator[Family]:
    queue = counts.queue
    for name, kind, value, text in (
        ("suffice_store_queued_records", "gauge", queue.queued, "Records waiting to be committed."),
        ("suffice_store_committed_records_total", "counter", queue.committed, "Records on disk."),
        ("suffice_store_dropped_records_total", "counter", queue.dropped, "Dropped: the queue was full."),
        ("suffice_store_rejected_records_total", "counter", queue.rejected, "Refused by the database."),
        ("suffice_store_size_bytes", "gauge", store.get("bytes"), "The database and its log on disk."),
    ):
        if value is not None:
            yield name, kind, text, [line(name, (), value)]
    name = "suffice_store_lost_records_total"
    yield (
        name,
        "counter",
        "Records lost over the life of the database.",
        [
            line(name, (("reason", reason),), amount["records"])
            for reason, amount in sorted((store.get("lost") or {}).items())
        ],
    )


def _labelled(counts: Counts) -> list[tuple[Labels, Meter]]:
    return [((("candidate", name),), meter) for name, meter in sorted(counts.meters.items())]


def _buckets(name: str, labels: Labels, histogram: Histogram) -> Iterator[str]:
    """Cumulative buckets, sum and count."""
    seen = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        seen += count
        yield line(f"{name}_bucket", (*labels, ("le", bound)), seen)
    yield line(f"{name}_sum", labels, histogram.total)
    yield line(f"{name}_count", labels, seen)


def line(name: str, labels: Labels, value: float | Decimal) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    shown = f"{value:f}" if isinstance(value, Decimal) else repr(value)
    return f"{name}{{{inside}}} {shown}" if inside else f"{name} {shown}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
