"""Two thresholds: between them the next model is asked; below, the query is hopeless and it is not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from suffice.cascades.chain import StepCascade
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import NEVER, PASS_OVER, Stage, Stages, cuts, products

_N_CUTS: Final = {1: 12, 2: 9, 3: 4}
_FEWEST: Final = 2


class DoubleThreshold(StepCascade):
    """Asks on where low <= reading < high; a plain threshold is the case without `low`.

    What the small model is sure to have got wrong is often what no model gets right: asking on would cost and
    bring nothing.

    References
    ----------
    Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models; "double threshold" of its code.
    """

    name = "automix_double_threshold"

    def _configurations(self, table: Recorded, goal: Goal) -> Sequence[Stages]:
        n_stages = table.n_arms - 1
        most = _N_CUTS.get(n_stages, _FEWEST)
        per_stage = []
        for arm in range(n_stages):
            edges = cuts(table.signal(self.signal)[:, arm], most)
            single = [Stage((high,), (True, False)) for high in edges]
            double = [Stage(pair, (False, True, False)) for pair in itertools.combinations(edges, 2)]
            per_stage.append([NEVER, *single, *double, PASS_OVER])
        return products(table, per_stage)
