"""The reward sweep: what a right answer may be worth, from nothing to a thousand times the dearest arm."""

from __future__ import annotations

import numpy as np

from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded

_STEPS = np.concatenate([[0.0], np.geomspace(0.1, 1000.0, 60)])


def values_to_try(table: Recorded, goal: Goal) -> list[float]:
    """USD per right answer; the one that the goal states where it states one.

    The code of AutoMix sweeps rewards from 0 to 4999 in units of its small model's cost.
    """
    if goal.value_usd is not None:
        return [goal.value_usd]
    unit = float(table.cost_usd.mean(axis=0).max()) or 1.0
    return [float(unit * step) for step in _STEPS]
