"""A new way to answer against the present one, on live traffic: who gets which, and what follows from it."""

from suffice.experiments.assignment import position, unit_of
from suffice.experiments.progress import Judged, Progress, Seen, Sums, advance
from suffice.experiments.rules import Findings, findings, settle
from suffice.experiments.settings import DIFFERENCE, Experiment, Kind

__all__ = [
    "DIFFERENCE",
    "Experiment",
    "Findings",
    "Judged",
    "Kind",
    "Progress",
    "Seen",
    "Sums",
    "advance",
    "findings",
    "position",
    "settle",
    "unit_of",
]
