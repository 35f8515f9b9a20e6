"""What an episode of asking models is worth: its form, its answer and its price."""

from __future__ import annotations

from dataclasses import dataclass

from suffice.errors import ConfigError


@dataclass(frozen=True)
class RouteReward:
    """The reward of Router-R1.

    Zhang et al. (2025), arXiv 2506.09033, section 3.2: -1 for an episode that leaves the language or never
    answers, whatever else it did; else (1 - alpha) x outcome + alpha x cost, both in [0, 1]. Departure: the
    cost term falls in a straight line to 0 at a stated price, where the paper scales costs by those seen
    lately, so that the same episode is worth the same all through training.
    """

    alpha: float = 0.3
    """Weight of the cost, in [0, 1)."""
    dear_usd: float = 0.01
    """The cost of an episode at which its cost term is 0, above 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1 or not self.dear_usd > 0:
            raise ConfigError(
                f"alpha {self.alpha} and dear_usd {self.dear_usd}: [0, 1) and above 0 are needed"
            )

    def of(self, is_well_formed: bool, outcome: float, cost_usd: float) -> float:
        """In [-1, 1].

        Examples
        --------
        >>> RouteReward(alpha=0.5, dear_usd=0.01).of(True, 1.0, 0.005)
        0.75
        """
        if not is_well_formed:
            return -1.0
        return (1 - self.alpha) * outcome + self.alpha * max(0.0, 1 - cost_usd / self.dear_usd)
