"""How good a student is: against its teacher and every cheaper rung, on the same held rows."""

from suffice.distillation.assessing.answers import ANSWERS, STUDENT, TEACHER, Said, read_said, table
from suffice.distillation.assessing.figures import Assessment, Contestant, Duel, assess
from suffice.distillation.assessing.grading import Grader
from suffice.distillation.assessing.report import markdown

__all__ = [
    "ANSWERS",
    "STUDENT",
    "TEACHER",
    "Assessment",
    "Contestant",
    "Duel",
    "Grader",
    "Said",
    "assess",
    "markdown",
    "read_said",
    "table",
]
