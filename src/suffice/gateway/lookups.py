"""How often gates and plans looked things up, as metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from suffice.gateway.counters import LookedUp
from suffice.gateway.exposition import Family, line


def retrieval_families(looked_up: Mapping[str, LookedUp]) -> Iterator[Family]:
    """By strategy; none where nothing decides on any."""
    if not looked_up:
        return
    for name, attribute, text in (
        ("suffice_retrieval_requests_total", "requests", "Answers, by how things were looked up for them."),
        ("suffice_lookups_total", "lookups", "Look-ups that were made for them."),
    ):
        samples = [
            line(name, (("strategy", strategy),), getattr(one, attribute))
            for strategy, one in sorted(looked_up.items())
        ]
        yield name, "counter", text, samples
