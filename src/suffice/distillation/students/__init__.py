"""Students: what a trained folder answers with, whichever way it was trained."""

from suffice.distillation.students.answering import Answers, Student, open_student

__all__ = ["Answers", "Student", "open_student"]
