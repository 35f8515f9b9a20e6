"""Ways of asking a model how sure it is, and the signals that are read from what it says.

A probe asks; a numeric core of `suffice.confidence` turns what was said into a signal.
"""

from suffice.plans.probes.base import Caller, Effort, Evidence, Probe, Said
from suffice.plans.probes.facts import Facts
from suffice.plans.probes.gathering import gather
from suffice.plans.probes.greedy import Greedy
from suffice.plans.probes.labels import LabelProbability
from suffice.plans.probes.meaning import (
    ByAnswer,
    ByEmbedding,
    ByEntailment,
    ByJudge,
    Entailment,
    Meaning,
    SameMeaning,
)
from suffice.plans.probes.others import OtherModels
from suffice.plans.probes.p_true import PTrue
from suffice.plans.probes.paraphrases import Paraphrases
from suffice.plans.probes.reasoning import ForcedReasoning
from suffice.plans.probes.recorded import Known, recorded
from suffice.plans.probes.samples import Samples
from suffice.plans.probes.signals import available, effort, read, read_all, whole_effort
from suffice.plans.probes.verbalised import TopK, Verbalised

__all__ = [
    "ByAnswer",
    "ByEmbedding",
    "ByEntailment",
    "ByJudge",
    "Caller",
    "Effort",
    "Entailment",
    "Evidence",
    "Facts",
    "ForcedReasoning",
    "Greedy",
    "Known",
    "LabelProbability",
    "Meaning",
    "OtherModels",
    "PTrue",
    "Paraphrases",
    "Probe",
    "Said",
    "SameMeaning",
    "Samples",
    "TopK",
    "Verbalised",
    "available",
    "effort",
    "gather",
    "read",
    "read_all",
    "recorded",
    "whole_effort",
]
