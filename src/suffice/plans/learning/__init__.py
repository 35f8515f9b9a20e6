"""Policies that learn live: a bandit behind a router, taught by the feedback in the store."""

from suffice.plans.learning.configured import check_params, configured
from suffice.plans.learning.learner import Learner
from suffice.plans.learning.policy import Online
from suffice.plans.learning.rewards import Reward, reward

__all__ = ["Learner", "Online", "Reward", "check_params", "configured", "reward"]
