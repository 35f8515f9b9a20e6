"""Answers kept for requests that come again, in the same words or in others."""

from suffice.caching.base import Asked, Cache, Found, Kept, Vector, Way

__all__ = ["Asked", "Cache", "Found", "Kept", "Vector", "Way"]
