"""Cascades: ask, look at the answer, ask on or accept. They decide; `suffice.plans` calls the models."""

from suffice.cascades.artefact import read_cascade, read_manifest, write_cascade
from suffice.cascades.base import Cascade, Move, Seen, accept, ask, can_pay, last_spoken

__all__ = [
    "Cascade",
    "Move",
    "Seen",
    "accept",
    "ask",
    "can_pay",
    "last_spoken",
    "read_cascade",
    "read_manifest",
    "write_cascade",
]
