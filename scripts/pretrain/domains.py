"""Which domain a benchmark's task belongs to."""

from __future__ import annotations

import re
from typing import Final

DOMAINS: Final = (
    "maths",
    "code",
    "science",
    "medicine",
    "law",
    "humanities",
    "business and society",
    "trivia",
    "reading",
    "commonsense",
    "logic",
    "language",
)

_RULES: Final = (
    ("maths", r"gsm|math|aime|asdiv|finqa|arithmetic|word_problem|abstract_algebra|statistics|econometrics"),
    ("code", r"crux|code|mbpp|human_eval|computer|machine_learning|coding"),
    ("medicine", r"medic|clinical|anatomy|virology|nutrition|health|aging|pubmed|genetics|sexuality"),
    ("law", r"law|jurisprudence"),
    ("science", r"arc_challenge|openbook|gpqa|physics|chemistry|biology|astronomy|engineering|stem"),
    ("science", r"science|nature"),
    ("logic", r"logic|fallac|bbh/(?!causal|sports|movie|ruin|snarks|hyperbaton|salient|disambig)"),
    ("commonsense", r"commonsense|social|winogrande|hellaswag|causal|sports|copa|ethics|moral_scenarios"),
    ("commonsense", r"openbook|wsc|reasoning"),
    ("business and society", r"business|econom|account|management|marketing|public_relations|government"),
    ("business and society", r"politic|sociology|security_studies|foreign_policy|psychology"),
    ("humanities", r"history|philosoph|religion|moral|humanities|literature|fine arts|prehistory|music"),
    ("reading", r"squad|passage|narrative|superglue|extraction|hotpot|2wiki|musique"),
    ("trivia", r"trivia|opentdb|qanta|natural_qa|^nq$|geo|global_facts|miscellaneous|fact|truthful|arcmmlu"),
    ("trivia", r"mmlu_pro/other"),
    ("language", r"wmt|commongen|writing|roleplay|snarks|ruin|hyperbaton|salient|disambig|classif|format"),
    ("language", r"language"),
)


def domain_of(task: str) -> str | None:
    """The domain of a task; None where it has no clear one.

    Examples
    --------
    >>> domain_of("mmlu/college_mathematics"), domain_of("mbpp"), domain_of("mmlu")
    ('maths', 'code', None)
    """
    name = task.lower()
    return next((domain for domain, pattern in _RULES if re.search(pattern, name)), None)
