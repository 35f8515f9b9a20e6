"""Answers that are given again, and calls that several requests share: the cache stage of an engine."""

from suffice.plans.reuse.flight import Flight, Flights
from suffice.plans.reuse.replay import (
    CACHE,
    REWRITE,
    chunks_of,
    from_cache,
    given_again,
    joined,
    keepable,
    replayed,
)

__all__ = [
    "CACHE",
    "REWRITE",
    "Flight",
    "Flights",
    "chunks_of",
    "from_cache",
    "given_again",
    "joined",
    "keepable",
    "replayed",
]
