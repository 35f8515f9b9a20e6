"""Training records: from a gateway's records, by asking a teacher, or from outcomes that are there."""

from suffice.distillation.collecting.asked import ask, read_queries
from suffice.distillation.collecting.forgetting import expire, forget, forgotten
from suffice.distillation.collecting.learning_curve import LearningCurve, learning_curve
from suffice.distillation.collecting.outcomes import from_outcomes
from suffice.distillation.collecting.recorded import forget_records, from_records
from suffice.distillation.collecting.redaction import KINDS, Redactor
from suffice.distillation.collecting.settings import Collecting

__all__ = [
    "KINDS",
    "Collecting",
    "LearningCurve",
    "Redactor",
    "ask",
    "expire",
    "forget",
    "forget_records",
    "forgotten",
    "from_outcomes",
    "from_records",
    "learning_curve",
    "read_queries",
]
