"""One look ahead: the next model is asked where its expected gain, given the reading, is worth its cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.cascades.automix.states import States
from suffice.cascades.automix.values import values_to_try
from suffice.cascades.chain import StepCascade
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import NEVER, PASS_OVER, Stage, Stages
from suffice.errors import ConfigError
from suffice.types import FloatArray


class Bayes(StepCascade):
    """By Bayes' rule from this reading alone; neither earlier readings nor later choices come into it.

    Parameters
    ----------
    n_bins : of a reading, at least 1
    smoothing : standard deviation, in bins, by which gains of neighbouring bins are averaged; 0 does not

    References
    ----------
    Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models; the greedy meta-verifier of its
    code, which averages gains over neighbouring bins as well. Departure: gains are those of the fitted
    states, so that rare bins lean on the overall gain, and missing readings ask on.
    """

    name = "automix_bayes"

    def __init__(
        self,
        *,
        signal: str = "verification",
        arms: Sequence[str] | None = None,
        n_bins: int = 9,
        smoothing: float = 1.0,
    ) -> None:
        super().__init__(signal=signal, arms=arms)
        if n_bins < 1 or smoothing < 0:
            raise ConfigError(f"n_bins is {n_bins} and smoothing {smoothing}: at least 1, and at least 0")
        self.n_bins = n_bins
        self.smoothing = smoothing

    def _configurations(self, table: Recorded, goal: Goal) -> Sequence[Stages]:
        states = States.fit(table, self.signal, self.n_bins)
        gains = [_smoothed(_gains(states, arm), self.smoothing) for arm in range(table.n_arms - 1)]
        tried = (
            tuple(_stage(states, arm, gains[arm], value) for arm in range(table.n_arms - 1))
            for value in values_to_try(table, goal)
        )
        return list(dict.fromkeys(tried))


def _gains(states: States, arm: int) -> FloatArray:
    """(bins, 2): expected quality of the next arm less this one's, by bin, and the bin's probability."""
    likelihood = states.observed[arm][:, :-1]
    joint = states.prior[:, None] * likelihood
    weight = joint.sum(axis=0)
    gain = (states.quality[:, arm + 1] - states.quality[:, arm]) @ joint / weight
    return np.column_stack([gain, weight])


def _smoothed(gains: FloatArray, width: float) -> FloatArray:
    """(bins,): averaged over neighbours, each by its probability and a Gaussian of its distance."""
    if not width:
        return gains[:, 0]
    place = np.arange(len(gains))
    kernel = np.exp(-0.5 * ((place[:, None] - place) / width) ** 2) * gains[:, 1]
    found: FloatArray = kernel @ gains[:, 0] / kernel.sum(axis=1)
    return found


def _stage(states: States, arm: int, gains: FloatArray, value_usd: float) -> Stage:
    asks = value_usd * gains > states.cost_usd[arm + 1] + states.reading_cost_usd[arm + 1]
    if asks.all() or not asks.any():
        return PASS_OVER if asks.all() else NEVER
    return Stage(states.edges[arm], tuple(asks.tolist()))
