"""AutoMix's threshold: the next model is asked where too few verifications say "correct"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from suffice.cascades.chain import StepCascade
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import NEVER, PASS_OVER, Stage, Stages, cuts, products

_N_CUTS: Final = {1: 64, 2: 24, 3: 12}
"""Thresholds tried per stage, by the number of stages: a few thousand chains at most."""
_FEWEST: Final = 6


class Threshold(StepCascade):
    """Asks on below one threshold per stage, chosen among cuts between the readings that occur.

    References
    ----------
    Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models, section 3.2 (thresholding).
    """

    name = "automix_threshold"

    def _configurations(self, table: Recorded, goal: Goal) -> Sequence[Stages]:
        return threshold_chains(table, self.signal)


def threshold_chains(table: Recorded, signal: str) -> list[Stages]:
    """Every chain of one threshold per stage, those without a reading included."""
    n_stages = table.n_arms - 1
    most = _N_CUTS.get(n_stages, _FEWEST)
    per_stage = []
    for arm in range(n_stages):
        found = [Stage((cut,), (True, False)) for cut in cuts(table.signal(signal)[:, arm], most)]
        per_stage.append([NEVER, *found, PASS_OVER])
    return products(table, per_stage)
