"""Iteration: which task to distil, what to label next, and whether another round is worth it."""

from suffice.distillation.iterating.pool import Pooled, pool
from suffice.distillation.iterating.rounds import Gain, Round, Rounds
from suffice.distillation.iterating.suggesting import Suggestion, suggest

__all__ = [
    "Gain",
    "Pooled",
    "Round",
    "Rounds",
    "Suggestion",
    "pool",
    "suggest",
]
