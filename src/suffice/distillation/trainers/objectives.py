"""What a lesson's tokens should be, as losses: hard labels, soft labels, a teacher's stored tokens.

The loss of a classification's first token is the surprise that it is one of the labels at all, plus a loss
among the labels; with cross-entropy both together are the cross-entropy over the whole vocabulary. The
second part may be any of `routers/losses`: label smoothing and the focal losses spread over labels, not
over 262,144 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from suffice.distillation.trainers.causal import Causal
from suffice.distillation.trainers.lessons import Lesson
from suffice.routers.losses import CROSS_ENTROPY, Loss

_LEAST: float = 1e-6


def row_losses(
    model: Causal, lessons: Sequence[Lesson], labels: Sequence[int] = (), criterion: Loss = CROSS_ENTROPY
) -> Any:
    """(n,): each lesson's loss times its weight.

    Of a target without labels the mean over its tokens; of a classification the first token's loss plus
    the mean of the rest.

    Parameters
    ----------
    labels : (K,) first tokens of the labels, where lessons have a `truth`
    """
    logits, whose = model.logits(lessons)
    return losses_of(logits, whose, lessons, labels, criterion)


def losses_of(
    logits: Any, whose: Any, lessons: Sequence[Lesson], labels: Sequence[int], criterion: Loss
) -> Any:
    """As `row_losses`, of `Causal.logits`."""
    import torch

    log_probs = logits.log_softmax(dim=1)
    said = torch.tensor([token for one in lessons for token in one.target]).to(logits.device)
    surprise = -log_probs.gather(1, said[:, None])[:, 0]
    surprise = _with_soft(log_probs, surprise, lessons)
    lengths = np.array([len(one.target) for one in lessons])
    starts = np.cumsum(lengths) - lengths
    is_class = np.array([one.truth is not None for one in lessons])
    rest = np.where(is_class, np.maximum(lengths - 1, 1), lengths)
    scale = np.repeat(1.0 / rest, lengths)
    scale[starts[is_class]] = 0.0
    weights = torch.tensor(scale, dtype=torch.float32).to(logits.device)
    sums = torch.zeros(len(lessons)).to(logits.device).index_add(0, whose, surprise * weights)
    if is_class.any():
        rows = np.flatnonzero(is_class)
        goals = [one.truth for one in lessons if one.truth is not None]
        firsts = log_probs[torch.from_numpy(starts[rows]).to(logits.device)][:, list(labels)]
        truth = torch.tensor(np.array(goals), dtype=torch.float32)
        mass = firsts.logsumexp(dim=1, keepdim=True)
        first = criterion(firsts - mass, truth.to(logits.device)) - mass[:, 0]
        sums = sums.index_add(0, torch.from_numpy(rows).to(logits.device), first)
    return sums * torch.tensor([one.weight for one in lessons]).to(logits.device)


def _with_soft(log_probs: Any, surprise: Any, lessons: Sequence[Lesson]) -> Any:
    """Where the teacher's tokens are known, cross-entropy with them; what it did not name is one outcome.

    Up to a constant this is the forward KL on the teacher's top k and "any other token": it never asks the
    student to spread what the teacher spread beyond its k in a way that nobody saw.
    """
    import torch

    found, place = [], 0
    for lesson in lessons:
        for soft in lesson.soft or ():
            if soft is not None:
                found.append((place, soft))
            place += 1
        place += 0 if lesson.soft else len(lesson.target)
    if not found:
        return surprise
    values = []
    for where, (tokens, chances) in found:
        own = log_probs[where, list(tokens)]
        p = torch.tensor(chances, dtype=own.dtype, device=own.device)
        other = (1 - p.sum()).clamp(min=0.0)
        left = torch.log1p(-own.exp().sum().clamp(max=1 - _LEAST))
        values.append(-(p * own).sum() - other * left)
    return surprise.index_copy(
        0, torch.tensor([where for where, _ in found], device=surprise.device), torch.stack(values)
    )
