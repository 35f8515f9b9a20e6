"""Policies that learn on the way, under a budget, on recorded outcomes."""

from suffice.evaluation.replay.harness import TRUTH, replay_policy
from suffice.evaluation.replay.play import Played, Player, Terms, play
from suffice.evaluation.replay.report import Point, Replay
from suffice.evaluation.replay.scenarios import SCENARIOS
from suffice.evaluation.replay.stream import Stream

__all__ = [
    "SCENARIOS",
    "TRUTH",
    "Played",
    "Player",
    "Point",
    "Replay",
    "Stream",
    "Terms",
    "play",
    "replay_policy",
]
