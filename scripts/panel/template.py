"""How a question of the recorded panel is written: one template, four cases, five rewordings.

A template keeps a question's wording apart from its slots, so that every case can be asked in
six ways and graded against a reference which the case's author (or its code) worked out. The first case
of each template is the one that is also sampled, paraphrased and self-verified.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TASKS = (
    "arithmetic",
    "word_problem",
    "code",
    "format",
    "extraction",
    "classification",
    "fact",
    "language",
    "passage",
)


@dataclass(frozen=True)
class Case:
    slots: Mapping[str, object]
    reference: str
    """The right answer, in the form that the template's check reads (see suffice.datasets.grading)."""


@dataclass(frozen=True)
class Template:
    name: str
    """Unique, snake_case; the query id is `{name}-{case}`."""
    task: str
    check: str
    """A name of suffice.datasets.grading.CHECKS."""
    wording: str
    """str.format over a case's slots."""
    paraphrases: tuple[str, str, str, str, str]
    """The same question, reworded: same slots, same reference, same check."""
    cases: tuple[Case, ...]
    """At most 5; the panel uses 4."""
    passage: str | None = None
    """str.format over the slots; the text from which the question must be answered."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"template {self.name}: task {self.task!r} is none of {', '.join(TASKS)}")
        if not 1 <= len(self.cases) <= 5:
            raise ValueError(f"template {self.name}: {len(self.cases)} cases, wanted 1 to 5")
