"""Ways to answer a query."""

from suffice.plans.base import Event, Plan, PlanContext
from suffice.plans.single import Single

__all__ = ["Event", "Plan", "PlanContext", "Single"]
