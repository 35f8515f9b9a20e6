"""A reward for every confidence that can be stated, and the policy gradient that follows it.

Rewards are proper scoring rules: their mean is highest where the stated confidence is the chance of being
right, so that what is rewarded is honesty and not boldness (Gneiting and Raftery, 2007, Strictly Proper
Scoring Rules; as rewards of a language model: Stangel et al., 2025, Rewarding Doubt, arXiv 2503.02623).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from suffice.types import FloatArray


def brier_reward(levels: FloatArray, quality: FloatArray) -> FloatArray:
    """(n, A): 1 - (c - y)^2 of every level c (A,) for every answer's quality y (n,), both in [0, 1].

    Examples
    --------
    >>> brier_reward(np.array([0.0, 0.5, 1.0]), np.array([1.0])).tolist()
    [[0.0, 0.75, 1.0]]
    """
    return np.asarray(1 - (levels - quality[:, None]) ** 2)


def log_reward(levels: FloatArray, quality: FloatArray) -> FloatArray:
    """(n, A): 1 + y log c + (1 - y) log(1 - c); levels inside (0, 1). It punishes boldness harder.

    Examples
    --------
    >>> log_reward(np.array([0.05, 0.5, 0.95]), np.array([1.0])).round(2).tolist()
    [[-2.0, 0.31, 0.95]]
    """
    y = quality[:, None]
    return np.asarray(1 + y * np.log(levels) + (1 - y) * np.log1p(-levels))


def reward_loss(log_probs: Any, reference: Any, reward: Any, *, kl: float) -> Any:
    """Less the mean reward of what is stated, plus kl x KL(policy | reference), averaged over rows.

    There are so few actions that the expectation over them is taken in full: the gradient is that of
    REINFORCE (Williams, 1992, section 4) with every action tried as often as the policy would, hence
    without variance and without need of a baseline. The penalty is that of Ouyang et al. (2022), Training
    Language Models to Follow Instructions with Human Feedback, equation 2.

    Parameters
    ----------
    log_probs : shape (b, A): of the policy, with gradients
    reference : shape (b, A): of the model before training
    reward : shape (b, A)
    kl : 0 or more
    """
    return (log_probs.exp() * (kl * (log_probs - reference) - reward)).sum(dim=1).mean()
