"""The majority of the verifications decides: nothing to learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from suffice.cascades.chain import StepCascade
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import NEVER, PASS_OVER, Stage, Stages, products

MAJORITY: Final = Stage((math.nextafter(0.5, 1.0),), (True, False))
"""A tie is no majority."""


class SelfConsistency(StepCascade):
    """Accepts where more than half of the verifications say "correct".

    With a goal it may also believe an arm always, or pass it over, whichever does best on the recorded rows;
    without one every arm is asked for its word.

    References
    ----------
    Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models, "self-consistency" of its code.
    """

    name = "automix_self_consistency"

    def _configurations(self, table: Recorded, goal: Goal) -> Sequence[Stages]:
        table.signal(self.signal)
        choices = [MAJORITY, NEVER, PASS_OVER] if goal.is_given else [MAJORITY]
        return products(table, [choices] * (table.n_arms - 1))
