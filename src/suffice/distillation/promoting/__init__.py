"""Promotion: a gate, deferral with a promise, versions in the panel, and the way to all traffic and back."""

from suffice.distillation.promoting.deferral import Deferral, Served, alone, certified, parted, served
from suffice.distillation.promoting.gate import Verdict, judge
from suffice.distillation.promoting.paired import SIGNAL, Paired
from suffice.distillation.promoting.release import Release, Released
from suffice.distillation.promoting.settings import Promoting
from suffice.distillation.promoting.shelf import Shelf, Standing, Version

__all__ = [
    "SIGNAL",
    "Deferral",
    "Paired",
    "Promoting",
    "Release",
    "Released",
    "Served",
    "Shelf",
    "Standing",
    "Verdict",
    "Version",
    "alone",
    "certified",
    "judge",
    "parted",
    "served",
]
