"""Losses of a classifier that is to know how sure it may be.

Every loss is a function of log-probabilities (..., K) and the truth (..., K), and gives one number per
classification, (...). The truth may be graded: a quality of 0.7 stands for a label that is right with
chance 0.7, and the loss is the mean over such labels. So each loss is the one of its paper where the truth
is a single class. With cross-entropy the best prediction is the graded quality itself; label smoothing and
the focal losses move it towards less certainty, on purpose, and Gatekeeper to where its alpha says.

References
----------
Szegedy et al. (2016), Rethinking the Inception Architecture, section 7: label smoothing.
Lin et al. (2017), Focal Loss for Dense Object Detection, section 3.2.
Mukhoti et al. (2020), Calibrating Deep Neural Networks using Focal Loss: FLSD-53.
Rabanser et al. (2025), Gatekeeper: Improving Model Cascades Through Confidence Tuning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from suffice.errors import ConfigError

UNSURE: Final = 0.2
"""Below this probability of the true class FLSD-53 takes the larger gamma."""
GAMMAS: Final = (5.0, 3.0)
_LEAST: Final = 1e-6
"""1 - p is held above it: the slope of (1 - p)^gamma has no end at p = 1 for a gamma below 1."""


def cross_entropy(log_probs: Any, truth: Any, _: float = 0.0) -> Any:
    """-log p of the true class."""
    return -(truth * log_probs).sum(dim=-1)


def label_smoothing(log_probs: Any, truth: Any, share: float) -> Any:
    """Cross-entropy with (1 - e) y + e / K in place of the truth y; e is the share."""
    return cross_entropy(log_probs, (1 - share) * truth + share / truth.shape[-1])


def focal(log_probs: Any, truth: Any, gamma: float) -> Any:
    """-(1 - p)^gamma log p of the true class: what is sure already counts little."""
    return -(truth * _missing(log_probs).pow(gamma) * log_probs).sum(dim=-1)


def focal_sample(log_probs: Any, truth: Any, _: float = 0.0) -> Any:
    """Focal loss with gamma 5 where p of the true class is below 0.2, and 3 elsewhere (FLSD-53)."""
    import torch

    is_unsure = log_probs.detach().exp() < UNSURE
    gamma = torch.where(is_unsure, *GAMMAS).to(log_probs.dtype)
    return -(truth * _missing(log_probs).pow(gamma) * log_probs).sum(dim=-1)


def gatekeeper(log_probs: Any, truth: Any, alpha: float) -> Any:
    """alpha x cross-entropy where the likeliest class is right, (1 - alpha) x KL(p | uniform) where wrong.

    Little alpha gives up certainty on what is wrong more readily; it trades accuracy for that. Of two
    classes, the likelier one right with chance c, the loss is least at p = c if alpha / (1 - alpha) is
    (1 - c) log(c / (1 - c)): alpha is then 0.14 to 0.22 for c from 0.6 to 0.93, hence 0.2. At 0.5 the loss
    is least at p = 0.91 for c = 0.68: it makes a binary classifier too sure.
    """
    top = log_probs.detach().argmax(dim=-1, keepdim=True)
    right = truth.gather(-1, top)[..., 0]
    surprise = -log_probs.gather(-1, top)[..., 0]
    from_uniform = (log_probs.exp() * log_probs).sum(dim=-1) + math.log(log_probs.shape[-1])
    return alpha * right * surprise + (1 - alpha) * (1 - right) * from_uniform


def _missing(log_probs: Any) -> Any:
    return (-log_probs.expm1()).clamp(min=_LEAST)


@dataclass(frozen=True)
class _Kind:
    function: Callable[[Any, Any, float], Any]
    strength: float | None
    """By default; None where there is nothing to set."""
    low: float = 0.0
    high: float = math.inf
    meaning: str = ""


LOSSES: Final[Mapping[str, _Kind]] = {
    "cross_entropy": _Kind(cross_entropy, None),
    "label_smoothing": _Kind(label_smoothing, 0.1, 0.0, 1.0, "the share that is spread over all classes"),
    "focal": _Kind(focal, 3.0, meaning="gamma"),
    "focal_sample": _Kind(focal_sample, None),
    "gatekeeper": _Kind(gatekeeper, 0.2, 0.0, 1.0, "alpha, the weight of what is right"),
}


@dataclass(frozen=True)
class Loss:
    """One of `LOSSES` with its strength."""

    name: str = "cross_entropy"
    strength: float | None = None
    """None takes the loss's own."""

    def __post_init__(self) -> None:
        kind = LOSSES.get(self.name)
        if kind is None:
            raise ConfigError(f"there is no loss {self.name!r}: take one of {', '.join(LOSSES)}")
        if self.strength is None:
            return
        if kind.strength is None:
            raise ConfigError(f"the loss {self.name!r} has no strength: leave it out")
        if not kind.low <= self.strength < kind.high:
            raise ConfigError(
                f"the loss {self.name!r} with strength {self.strength}: {kind.meaning} from {kind.low:g}"
                + (f" and below {kind.high:g} is needed" if kind.high < math.inf else " is needed")
            )

    def __call__(self, log_probs: Any, truth: Any) -> Any:
        """(...), of log-probabilities and truth (..., K)."""
        return LOSSES[self.name].function(log_probs, truth, self.value)

    @property
    def value(self) -> float:
        """The strength that is taken; 0 where there is none to set."""
        own = LOSSES[self.name].strength
        return float((own or 0.0) if self.strength is None else self.strength)

    @property
    def stages(self) -> tuple[Loss, ...]:
        """What to train with, one after the other: Gatekeeper goes on from what cross-entropy has learnt."""
        return (Loss(), self) if self.name == "gatekeeper" else (self,)


CROSS_ENTROPY: Final = Loss()


def two_ways(logits: Any, chance: Any) -> tuple[Any, Any]:
    """Log-probabilities and truth (..., 2), wrong and right, of logits and chances of being right (...)."""
    import torch
    from torch.nn import functional

    log_probs = torch.stack((functional.logsigmoid(-logits), functional.logsigmoid(logits)), dim=-1)
    return log_probs, torch.stack((1 - chance, chance), dim=-1)
