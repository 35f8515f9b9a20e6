"""What can be had without tuning a model: the rungs below a student, answered on the same held rows."""

from suffice.distillation.baselines.rungs import Rung, asked_rungs, head_rungs, majority
from suffice.distillation.baselines.settings import Baselines

__all__ = ["Baselines", "Rung", "asked_rungs", "head_rungs", "majority"]
