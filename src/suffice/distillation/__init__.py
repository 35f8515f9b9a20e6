"""Small models that learn: to state how sure one may be, and whom to ask."""

from suffice.distillation.confidence_tuning import Examples, learn_by_preference, learn_by_reward
from suffice.distillation.dpo import dpo_loss
from suffice.distillation.grpo import group_advantages, grpo_loss
from suffice.distillation.pairs import calibration_pairs
from suffice.distillation.reward import brier_reward, log_reward, reward_loss
from suffice.distillation.route_episodes import Episode, Scene, Task, exact_match, play
from suffice.distillation.route_policy import RoutePolicy
from suffice.distillation.route_reward import RouteReward
from suffice.distillation.route_tuning import RouteProgress, RouteSchedule, imitate, learn_to_route
from suffice.distillation.self_rag import SIGNALS, SelfRag, learn_signals, signal_labels
from suffice.distillation.stated import LEVELS, StatedConfidence

__all__ = [
    "LEVELS",
    "SIGNALS",
    "Episode",
    "Examples",
    "RoutePolicy",
    "RouteProgress",
    "RouteReward",
    "RouteSchedule",
    "Scene",
    "SelfRag",
    "StatedConfidence",
    "Task",
    "brier_reward",
    "calibration_pairs",
    "dpo_loss",
    "exact_match",
    "group_advantages",
    "grpo_loss",
    "imitate",
    "learn_by_preference",
    "learn_by_reward",
    "learn_signals",
    "learn_to_route",
    "log_reward",
    "play",
    "reward_loss",
    "signal_labels",
]
