"""Small models that learn from recorded answers: so far, to state how sure one may be."""

from suffice.distillation.confidence_tuning import Examples, learn_by_preference, learn_by_reward
from suffice.distillation.dpo import dpo_loss
from suffice.distillation.pairs import calibration_pairs
from suffice.distillation.reward import brier_reward, log_reward, reward_loss
from suffice.distillation.stated import LEVELS, StatedConfidence

__all__ = [
    "LEVELS",
    "Examples",
    "StatedConfidence",
    "brier_reward",
    "calibration_pairs",
    "dpo_loss",
    "learn_by_preference",
    "learn_by_reward",
    "log_reward",
    "reward_loss",
]
