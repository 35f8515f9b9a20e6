"""Teach a small language model to state honest confidences: by preferences, or by reward.

A tenth of the rows is held out: training stops by it and goes back to its best step. The model as it is
when training begins is the reference; its distribution over the digits is kept, not the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from suffice.distillation.dpo import dpo_loss
from suffice.distillation.pairs import calibration_pairs
from suffice.distillation.reward import brier_reward, log_reward, reward_loss
from suffice.distillation.stated import LEVELS, StatedConfidence
from suffice.errors import ConfigError, DataError
from suffice.routers.frozen import above_frozen
from suffice.routers.pytorch import seeded
from suffice.routers.tuning import Progress, Rows, Schedule, tune
from suffice.types import FloatArray

SCHEDULE: Final = Schedule(epochs=3.0, max_steps=300, batch=8, rate=5e-4, head_rate=5e-4, patience=3, seed=0)
_REWARDS: Final = {"brier": brier_reward, "log": log_reward}
_LEAST_ROWS: Final = 10

Objective = Callable[[Any, Any, Any], Any]
"""Log-probabilities, reference and what belongs to the rows, to a loss."""


@dataclass(frozen=True)
class Examples:
    """Answers whose quality is known."""

    rows: Sequence[Sequence[int]]
    """Prompts as `StatedConfidence.prompts` makes them."""
    quality: FloatArray
    """(n,), in [0, 1]."""

    def __post_init__(self) -> None:
        n, y = len(self.rows), self.quality
        if y.shape != (n,) or n < _LEAST_ROWS or not ((y >= 0) & (y <= 1)).all():
            raise DataError(
                f"{n} prompts and qualities of shape {y.shape}: one in [0, 1] for each of at least "
                f"{_LEAST_ROWS} prompts is needed"
            )


def learn_by_preference(
    model: StatedConfidence,
    examples: Examples,
    *,
    beta: float = 0.1,
    n_pairs: int = 16,
    held_out: float = 0.1,
    schedule: Schedule = SCHEDULE,
    report: Callable[[Progress], None] | None = None,
) -> Progress:
    """DPO on calibration pairs; changes the model.

    Parameters
    ----------
    beta : of the loss, above 0
    n_pairs : of digits, drawn for each answer; they cost next to nothing
    held_out : share of the rows that decide when to stop, in (0, 1)

    Returns
    -------
    The step of the least loss on rows held out.
    """
    if not beta > 0:
        raise ConfigError(f"beta {beta}: a number above 0 is needed")
    pairs = calibration_pairs(LEVELS, examples.quality, n_pairs, seed=schedule.seed)

    def objective(log_probs: Any, reference: Any, own: Any) -> Any:
        return dpo_loss(log_probs, reference, own, beta=beta)

    return learn(model, examples, objective, pairs, held_out, schedule, report)


def learn_by_reward(
    model: StatedConfidence,
    examples: Examples,
    *,
    rule: Literal["brier", "log"] = "brier",
    kl: float = 0.02,
    held_out: float = 0.1,
    schedule: Schedule = SCHEDULE,
    report: Callable[[Progress], None] | None = None,
) -> Progress:
    """Policy gradient on a proper scoring rule; changes the model.

    Parameters
    ----------
    rule : the reward of a stated confidence
    kl : weight of the penalty for leaving the reference, 0 or more
    held_out : share of the rows that decide when to stop, in (0, 1)

    Returns
    -------
    The step of the least loss on rows held out.
    """
    if rule not in _REWARDS or not kl >= 0:
        raise ConfigError(f"rule {rule!r} with kl {kl}: {' or '.join(_REWARDS)}, and kl from 0, are needed")
    rewards = _REWARDS[rule](LEVELS, examples.quality).astype(np.float32)

    def objective(log_probs: Any, reference: Any, own: Any) -> Any:
        return reward_loss(log_probs, reference, own, kl=kl)

    return learn(model, examples, objective, rewards, held_out, schedule, report)


def learn(
    model: StatedConfidence,
    examples: Examples,
    objective: Objective,
    own: Any,
    held_out: float,
    schedule: Schedule,
    report: Callable[[Progress], None] | None,
) -> Progress:
    """Any objective over the digits.

    Parameters
    ----------
    own : shape (n, ...), what the objective wants to know of every row
    """
    import torch

    if not 0 < held_out < 1:
        raise ConfigError(f"held_out {held_out}: a share between 0 and 1 is needed")
    body, read = above_frozen(model.body, examples.rows)
    order = np.random.default_rng(schedule.seed).permutation(len(read))
    n_held = min(max(1, round(held_out * len(read))), len(read) - 1)
    reference = model.digits(body.all_states(read))
    facts = torch.from_numpy(own).to(reference.device)

    def loss(rows: Rows) -> Any:
        found = model.digits(body.states([read[row] for row in rows]))
        return objective(found, reference[rows], facts[rows])

    def look() -> float:
        held = order[:n_held]
        found = model.digits(body.all_states([read[row] for row in held]))
        return float(objective(found, reference[held], facts[held]))

    with seeded(schedule.seed):
        return tune(
            body.model,
            torch.nn.Identity(),
            loss,
            look,
            [len(row) for row in read],
            order[n_held:],
            schedule,
            report,
        )
