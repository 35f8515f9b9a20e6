"""Plans that ask more than once, on recorded answers, beside the routers of the same comparison."""

from suffice.evaluation.plan_figures import PlanResult, PlanUse
from suffice.evaluation.planned.compare import PlanWish, compare_plans, known_plans
from suffice.evaluation.planned.data import PlanData

__all__ = ["PlanData", "PlanResult", "PlanUse", "PlanWish", "compare_plans", "known_plans"]
