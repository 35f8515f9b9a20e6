"""How good the teacher's answers are: verifiers first, then a judge that is measured itself."""

from suffice.distillation.judging.asking import Question, Replies, ask_judge
from suffice.distillation.judging.choosing import Choice, choose
from suffice.distillation.judging.decoys import Decoys, decoys_for, said_yes
from suffice.distillation.judging.error_matrix import Correction, ErrorMatrix, correct
from suffice.distillation.judging.pairing import PAIRS, Pair
from suffice.distillation.judging.settings import Judging
from suffice.distillation.judging.verifying import Verifier

__all__ = [
    "PAIRS",
    "Choice",
    "Correction",
    "Decoys",
    "ErrorMatrix",
    "Judging",
    "Pair",
    "Question",
    "Replies",
    "Verifier",
    "ask_judge",
    "choose",
    "correct",
    "decoys_for",
    "said_yes",
]
