"""Numeric cores of the confidence signals: arrays in, numbers out."""

from suffice.confidence.sequence import normalised_probability

__all__ = ["normalised_probability"]
