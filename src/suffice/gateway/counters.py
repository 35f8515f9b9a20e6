"""What the gateway counts: plain structs that can be added up and written down.

Labels are candidates of the panel, statuses and route names: none is taken from a request, so the number
of series is bounded by the configuration. One meter per candidate keeps a request down to a few additions.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import Final

import msgspec

from suffice.gateway.drift import Drift
from suffice.plans.guard import BudgetEvents
from suffice.types import Record

LATENCY_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0)
DECISION_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)


class Histogram(msgspec.Struct):
    """Counts per bucket, and the sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0

    @classmethod
    def of(cls, bounds: tuple[float, ...]) -> Histogram:
        return cls(bounds, [0] * (len(bounds) + 1))

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, other: Histogram) -> None:
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


def _latencies() -> Histogram:
    return Histogram.of(LATENCY_S)


def _decisions() -> Histogram:
    return Histogram.of(DECISION_S)


class Meter(msgspec.Struct):
    """Of one candidate."""

    statuses: dict[int, int] = {}
    latency: Histogram = msgspec.field(default_factory=_latencies)
    first_token: Histogram = msgspec.field(default_factory=_latencies)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    baseline_usd: Decimal = Decimal(0)
    unpriced: int = 0
    attempts_failed: int = 0

    def saw(self, record: Record) -> None:
        """It answered, or was being asked when the client left."""
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

    def add(self, other: Meter) -> None:
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.latency.add(other.latency)
        self.first_token.add(other.first_token)
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cost_usd += other.cost_usd
        self.baseline_usd += other.baseline_usd
        self.unpriced += other.unpriced
        self.attempts_failed += other.attempts_failed


class Queue(msgspec.Struct):
    """Of this process's way to the store."""

    queued: int = 0
    committed: int = 0
    dropped: int = 0
    rejected: int = 0

    def add(self, other: Queue) -> None:
        self.queued += other.queued
        self.committed += other.committed
        self.dropped += other.dropped
        self.rejected += other.rejected


class Reused(msgspec.Struct):
    """Of one way through the cache."""

    requests: int = 0
    saved_usd: Decimal = Decimal(0)

    def add(self, other: Reused) -> None:
        self.requests += other.requests
        self.saved_usd += other.saved_usd


class LookedUp(msgspec.Struct):
    """Of one retrieval strategy."""

    requests: int = 0
    lookups: int = 0

    def add(self, other: LookedUp) -> None:
        self.requests += other.requests
        self.lookups += other.lookups


class Counts(msgspec.Struct):
    """Everything that one process counts."""

    meters: dict[str, Meter] = {}
    """By candidate; "" for requests that none answered."""
    decision: Histogram = msgspec.field(default_factory=_decisions)
    refusals: dict[str, dict[int, int]] = {}
    """By route and status: requests that reached no candidate and left no record."""
    in_flight: int = 0
    queue: Queue = msgspec.field(default_factory=Queue)
    drift: Drift = msgspec.field(default_factory=Drift)
    budgets: dict[str, BudgetEvents] = {}
    """By budget."""
    reused: dict[str, Reused] = {}
    """By way through the cache; empty where there is none."""
    looked_up: dict[str, LookedUp] = {}
    """By retrieval strategy; empty where nothing decides on any."""

    def meter(self, candidate: str) -> Meter:
        found = self.meters.get(candidate)
        if found is None:
            found = self.meters[candidate] = Meter()
        return found

    def add(self, other: Counts) -> None:
        for candidate, meter in other.meters.items():
            self.meter(candidate).add(meter)
        self.decision.add(other.decision)
        for route, statuses in other.refusals.items():
            own = self.refusals.setdefault(route, {})
            for status, count in statuses.items():
                own[status] = own.get(status, 0) + count
        self.in_flight += other.in_flight
        self.queue.add(other.queue)
        self.drift.add(other.drift)
        for way, reused in other.reused.items():
            self.reused.setdefault(way, Reused()).add(reused)
        for strategy, looked_up in other.looked_up.items():
            self.looked_up.setdefault(strategy, LookedUp()).add(looked_up)
        for budget, events in other.budgets.items():
            self.budgets.setdefault(budget, BudgetEvents()).add(events)
