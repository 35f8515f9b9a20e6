"""What the cache saves, for `GET /metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from suffice.gateway.counters import Reused
from suffice.gateway.exposition import Family, line

if TYPE_CHECKING:
    from suffice.plans.reuse.stage import Reusing


def cache_families(reused: Mapping[str, Reused], reusing: Reusing | None) -> Iterator[Family]:
    """Nothing where there is no cache."""
    if reusing is None:
        return
    name = "suffice_cache_requests_total"
    yield (
        name,
        "counter",
        "Requests by what the cache made of them; shared ones waited for the call of another.",
        [line(name, (("way", way),), one.requests) for way, one in sorted(reused.items())],
    )
    name = "suffice_cache_saved_usd_total"
    yield (
        name,
        "counter",
        "What the answers that were given again had cost, less what giving them again did.",
        [line(name, (("way", way),), one.saved_usd) for way, one in sorted(reused.items())],
    )
    name = "suffice_cache_entries"
    yield (
        name,
        "gauge",
        "Answers in the memory of the worker that tells.",
        [line(name, (("cache", stage.name or "auto"),), len(stage)) for stage in reusing.all],
    )
