"""Shadow sampling: a promise watched on live traffic, and withdrawn when it no longer holds."""

from suffice.plans.shadow.base import Ask, Grader, registry
from suffice.plans.shadow.configured import GuaranteeSettings, configured
from suffice.plans.shadow.sampler import Shadow, Slot
from suffice.plans.shadow.watch import Tally, Watch

__all__ = [
    "Ask",
    "Grader",
    "GuaranteeSettings",
    "Shadow",
    "Slot",
    "Tally",
    "Watch",
    "configured",
    "registry",
]
