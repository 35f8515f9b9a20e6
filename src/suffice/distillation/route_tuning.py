"""Teach a language model to route: first by demonstrations, then by reward.

A model that never used the language would never be rewarded for it; a few demonstrations give the form
(DeepSeek-AI, 2025, DeepSeek-R1, arXiv 2501.12948, section 2.3: cold start), the reward then says whom to ask.
Router-R1 itself (arXiv 2506.09033) is trained with PPO; GRPO needs no critic, which halves the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from suffice.distillation.grpo import group_advantages, grpo_loss
from suffice.distillation.route_episodes import Episode, Scene, Task, play
from suffice.distillation.route_policy import RoutePolicy, Said
from suffice.errors import ConfigError, DataError
from suffice.routers.pytorch import seeded

_LARGEST_GRADIENT: Final = 1.0


@dataclass(frozen=True)
class RouteSchedule:
    """How long and how fast to learn."""

    steps: int = 200
    tasks: int = 8
    """Of a step; drawn anew for each."""
    group: int = 8
    """Episodes of every task, at least 2."""
    updates: int = 1
    """Of the weights, with the episodes of one step."""
    batch: int = 64
    """Replies that pass through the model at once."""
    rate: float = 1e-5
    clip: float = 0.2
    kl: float = 0.001
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.tasks, self.updates, self.batch) < 1 or self.group < 2:
            raise ConfigError(
                "steps, tasks, updates and batch are at least 1, a group has at least 2 episodes"
            )
        if not self.rate > 0 or not self.clip > 0 or not self.kl >= 0:
            raise ConfigError("rate and clip are above 0, kl is not below")


@dataclass(frozen=True)
class RouteProgress:
    """Means over the episodes of one step, before its update."""

    step: int
    reward: float
    outcome: float
    well_formed: float
    """Share."""
    cost_usd: float

    @classmethod
    def of(cls, step: int, episodes: Sequence[Episode]) -> RouteProgress:
        facts = [(one.reward, one.outcome, one.is_well_formed, one.cost_usd) for one in episodes]
        return cls(step, *np.mean(np.array(facts, np.float64), axis=0).tolist())


def imitate(
    policy: RoutePolicy,
    demonstrations: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    steps: int,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
) -> None:
    """Make demonstrated replies likelier; changes the policy, and makes it the reference of what follows.

    Parameters
    ----------
    demonstrations : contexts and replies, as numbers of the policy's language
    """
    said = [Said(context, reply, ()) for context, reply in demonstrations if reply]
    if not said:
        raise DataError("no demonstrations to imitate")
    optimiser = _optimiser(policy, rate)
    rng = np.random.default_rng(seed)
    with seeded(seed):
        policy.lm.train()
        for _ in range(steps):
            chosen = [said[place] for place in rng.integers(len(said), size=batch).tolist()]
            found = policy.log_probs(chosen)
            n_tokens = sum(len(one.reply) for one in chosen)
            (-found.sum() / n_tokens).backward()  # padding is 0
            _step(optimiser)
    policy.remember()


def learn_to_route(
    policy: RoutePolicy,
    tasks: Sequence[Task],
    scene: Scene,
    schedule: RouteSchedule = RouteSchedule(),
    *,
    report: Callable[[RouteProgress], None] | None = None,
) -> list[RouteProgress]:
    """GRPO on format, outcome and cost; changes the policy.

    Returns
    -------
    What every step's episodes were worth.
    """
    if not tasks:
        raise DataError("no tasks to learn from")
    optimiser = _optimiser(policy, schedule.rate)
    rng = np.random.default_rng(schedule.seed)
    told = []
    with seeded(schedule.seed):
        for step in range(schedule.steps):
            drawn = rng.choice(len(tasks), size=schedule.tasks, replace=len(tasks) < schedule.tasks).tolist()
            episodes = play(policy, [tasks[i] for i in drawn for _ in range(schedule.group)], scene)
            told.append(RouteProgress.of(step, episodes))
            if report is not None:
                report(told[-1])
            rewards = np.array([one.reward for one in episodes]).reshape(len(drawn), schedule.group)
            _learn(policy, optimiser, episodes, group_advantages(rewards).ravel().tolist(), schedule)
    return told


def _learn(
    policy: RoutePolicy,
    optimiser: Any,
    episodes: Sequence[Episode],
    advantages: Sequence[float],
    schedule: RouteSchedule,
) -> None:
    """Every reply of an episode has its advantage; replies whose group was all the same are left out."""
    rows = []
    for episode, advantage in zip(episodes, advantages, strict=True):
        n_tokens = sum(len(one.reply) for one in episode.said)
        if advantage or schedule.kl:
            rows += [(one, advantage, 1 / (n_tokens * len(episodes))) for one in episode.said]
    policy.lm.eval()  # no dropout: the ratio compares the same computation
    for _ in range(schedule.updates if rows else 0):
        for start in range(0, len(rows), schedule.batch):
            _loss(policy, rows[start : start + schedule.batch], schedule).backward()
        _step(optimiser)


def _loss(policy: RoutePolicy, rows: Sequence[tuple[Said, float, float]], schedule: RouteSchedule) -> Any:
    said = [one for one, _, _ in rows]
    found = policy.log_probs(said)
    reference = policy.log_probs(said, is_reference=True) if schedule.kl else None
    old, weights = found.new_zeros(found.shape), found.new_zeros(found.shape)
    for row, (one, _, weight) in enumerate(rows):
        old[row, : len(one.reply)] = found.new_tensor(one.log_probs)
        weights[row, : len(one.reply)] = weight
    advantages = found.new_tensor([[advantage] for _, advantage, _ in rows])
    return grpo_loss(found, old, reference, advantages, weights, clip=schedule.clip, kl=schedule.kl)


def _optimiser(policy: RoutePolicy, rate: float) -> Any:
    import torch

    moving = [weight for weight in policy.lm.parameters() if weight.requires_grad]
    return torch.optim.AdamW(moving, lr=rate, weight_decay=0.0)


def _step(optimiser: Any) -> None:
    import torch

    for group in optimiser.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], _LARGEST_GRADIENT)
    optimiser.step()
    optimiser.zero_grad()
