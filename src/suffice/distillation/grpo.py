"""Group relative policy optimisation: episodes of one question are compared, and no critic is learnt.

Shao et al. (2024), DeepSeekMath, arXiv 2402.03300, section 4.1: the advantage of an episode is how far its
reward is above its group's mean, in standard deviations (outcome supervision); equation 3 is the objective,
equation 4 the estimate of the divergence from the reference.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from suffice.types import FloatArray

_LEAST_SD: Final = 1e-6


def group_advantages(rewards: FloatArray) -> FloatArray:
    """(n_groups, n): by how many standard deviations each reward is above the mean of its row.

    A group of equal rewards teaches nothing: 0.

    Examples
    --------
    >>> group_advantages(np.array([[0.0, 1.0], [0.5, 0.5]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    spread = rewards.std(axis=1, keepdims=True)
    above = rewards - rewards.mean(axis=1, keepdims=True)
    return np.asarray(np.where(spread > _LEAST_SD, above / np.maximum(spread, _LEAST_SD), 0.0))


def grpo_loss(
    log_probs: Any, old: Any, reference: Any, advantages: Any, weights: Any, *, clip: float, kl: float
) -> Any:
    """Less the clipped objective, plus kl x the divergence from the reference, weighted over tokens.

    Parameters
    ----------
    log_probs : shape (b, t): of the tokens that the policy said, with gradients
    old : shape (b, t): of the policy that said them
    reference : shape (b, t): of the model before training; None where kl is 0
    advantages : shape (b, 1)
    weights : shape (b, t): 0 for padding; 1 / (tokens of the episode x episodes) for the published mean
    clip : how far the ratio of new to old counts, above 0
    kl : 0 or more
    """
    ratio = (log_probs - old).exp()
    gain = (ratio * advantages).minimum(ratio.clamp(1 - clip, 1 + clip) * advantages)
    if kl > 0:
        apart = reference - log_probs
        gain = gain - kl * (apart.exp() - apart - 1)
    return -(gain * weights).sum()
