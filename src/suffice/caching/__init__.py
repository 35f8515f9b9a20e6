"""Answers kept for requests that come again, in the same words or in others."""

from suffice.caching.base import Asked, Cache, Found, Kept, Vector, Way
from suffice.caching.canonical import asked
from suffice.caching.eligible import Allowed, why_not, why_not_kept
from suffice.caching.exact import ExactCache
from suffice.caching.judgement import Judgement, Pair
from suffice.caching.semantic import SemanticCache

__all__ = [
    "Allowed",
    "Asked",
    "Cache",
    "ExactCache",
    "Found",
    "Judgement",
    "Kept",
    "Pair",
    "SemanticCache",
    "Vector",
    "Way",
    "asked",
    "why_not",
    "why_not_kept",
]
