"""Direct preference optimisation: learn from pairs without a model of the reward.

Rafailov et al. (2023), Direct Preference Optimization, arXiv 2305.18290, equation 7.
"""

from __future__ import annotations

from typing import Any


def dpo_loss(log_probs: Any, reference: Any, pairs: Any, *, beta: float) -> Any:
    """Mean of -log sigmoid(beta (log ratio of the chosen - log ratio of the rejected)).

    Parameters
    ----------
    log_probs : shape (b, A): of the policy, with gradients
    reference : shape (b, A): of the model before training
    pairs : shape (b, m, 2), whole numbers: of every row m pairs of actions, the chosen one first
    beta : above 0; the smaller, the further the policy may leave the reference
    """
    from torch.nn import functional

    ratios = log_probs - reference
    chosen, rejected = (ratios.gather(1, pairs[:, :, side]) for side in (0, 1))
    return -functional.logsigmoid(beta * (chosen - rejected)).mean()
