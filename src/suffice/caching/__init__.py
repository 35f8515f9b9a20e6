"""Answers kept for requests that come again, in the same words or in others."""

from suffice.caching.base import Asked, Cache, Found, Kept, Vector, Way
from suffice.caching.canonical import asked
from suffice.caching.eligible import Allowed, why_not, why_not_kept
from suffice.caching.exact import ExactCache

__all__ = [
    "Allowed",
    "Asked",
    "Cache",
    "ExactCache",
    "Found",
    "Kept",
    "Vector",
    "Way",
    "asked",
    "why_not",
    "why_not_kept",
]
