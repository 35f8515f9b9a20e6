"""Fine-tuning: small steps down a loss, and back to the step that did best on queries held out.

AdamW (Loshchilov and Hutter, 2019, Decoupled Weight Decay Regularization) with a linear warm-up and decay
of the step size, as BERT is fine-tuned (Devlin et al., 2019, appendix A.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_WARM_UP: Final = 0.1
_WEIGHT_DECAY: Final = 0.01
_LARGEST_GRADIENT: Final = 1.0
_LOOKS: Final = 10
"""How often at most the queries held out are looked at in one training."""
_WINDOW: Final = 8
"""Batches among which texts of like length are put together, which saves padding."""

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    epochs: float
    max_steps: int
    batch: int
    rate: float
    """Step size of pretrained weights."""
    head_rate: float
    """Step size of what starts from nothing."""
    patience: int
    """Looks at the queries held out without a better one before training stops."""
    seed: int

    def steps(self, n_rows: int) -> int:
        return max(1, min(self.max_steps, math.ceil(self.epochs * n_rows / self.batch)))


@dataclass(frozen=True)
class Progress:
    """What a training says of itself on its way."""

    step: int
    n_steps: int
    loss: float
    """Mean over the steps since the last report."""
    held_out_loss: float


def tune(
    body: Any,
    head: Any,
    loss: Callable[[Rows], Any],
    held_out: Callable[[], float],
    lengths: Sequence[int],
    rows: Rows,
    schedule: Schedule,
    report: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train two modules in place; their weights end as they were at the best look.

    Parameters
    ----------
    body, head : modules; weights that need no gradient stay as they are
    loss : of some rows, to be descended
    held_out : the loss on queries that are not among `rows`
    lengths : of the texts of all rows, in tokens; empty leaves batches as they were drawn
    rows : to learn from
    report : called at every look

    Returns
    -------
    The best look.
    """
    import torch

    moving = [weight for weight in body.parameters() if weight.requires_grad]
    groups = [
        {"params": moving, "lr": schedule.rate},
        {"params": list(head.parameters()), "lr": schedule.head_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=_WEIGHT_DECAY)
    n_steps = schedule.steps(len(rows))
    pace = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: pace_at(step, n_steps))
    kept = [*moving, *head.parameters()]
    every = max(1, math.ceil(n_steps / _LOOKS))
    best, saved, worse, losses = None, [], 0, []
    both = (body, head)
    _set(both, training=True)
    for step, batch in enumerate(_batches(rows, lengths, n_steps, schedule), start=1):
        found = loss(batch)
        optimiser.zero_grad()
        found.backward()
        torch.nn.utils.clip_grad_norm_(kept, _LARGEST_GRADIENT)
        optimiser.step()
        pace.step()
        losses.append(float(found.detach()))
        if step % every and step < n_steps:
            continue
        _set(both, training=False)
        look = Progress(step, n_steps, float(np.mean(losses)), held_out())
        _set(both, training=True)
        losses.clear()
        if report is not None:
            report(look)
        if best is None or look.held_out_loss < best.held_out_loss:
            best, worse = look, 0
            saved = [weight.detach().clone() for weight in kept]
        else:
            worse += 1
            if worse >= schedule.patience:
                break
    _set(both, training=False)
    assert best is not None
    with torch.no_grad():
        for weight, value in zip(kept, saved, strict=True):
            weight.copy_(value)
    return best


def _set(modules: Sequence[Any], *, training: bool) -> None:
    for module in modules:
        module.train(training)


def pace_at(step: int, n_steps: int) -> float:
    """Share of the step size: up over the first tenth, then down to nothing."""
    warm = max(1, round(_WARM_UP * n_steps))
    return min((step + 1) / warm, (n_steps - step) / max(1, n_steps - warm + 1))


def _batches(rows: Rows, lengths: Sequence[int], n_steps: int, schedule: Schedule) -> Iterator[Rows]:
    """`n_steps` batches, every epoch in another order."""
    rng = np.random.default_rng(schedule.seed)
    done = 0
    while done < n_steps:
        order = rng.permutation(rows)
        if len(lengths):
            order = by_length(order, np.asarray(lengths), schedule.batch)
        starts = rng.permutation(np.arange(0, len(order), schedule.batch))
        for start in starts[: n_steps - done].tolist():
            yield order[start : start + schedule.batch]
        done += len(starts)


def by_length(order: Rows, lengths: NDArray[Any], batch: int) -> Rows:
    """Sorted by length within every window of some batches."""
    size = _WINDOW * batch
    windows = [order[start : start + size] for start in range(0, len(order), size)]
    return np.concatenate([window[np.argsort(lengths[window], kind="stable")] for window in windows])
