"""Routers compared with each other, with single models and with what is possible at all."""

from suffice.evaluation.averaging import mean_of
from suffice.evaluation.choosing import Entrants, entrants
from suffice.evaluation.comparison import Comparison
from suffice.evaluation.extras import Extras
from suffice.evaluation.harness import evaluate
from suffice.evaluation.repeated import evaluate_seeds
from suffice.evaluation.replay import Replay, replay_policy
from suffice.evaluation.suggestion import Suggestion, suggest
from suffice.evaluation.sweep import VALUES_USD

__all__ = [
    "VALUES_USD",
    "Comparison",
    "Entrants",
    "Extras",
    "Replay",
    "Suggestion",
    "entrants",
    "evaluate",
    "evaluate_seeds",
    "mean_of",
    "replay_policy",
    "suggest",
]
