"""What is asked of whom for the recorded panel, in which order, and under which key it is kept."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import logging
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scripts.panel.template import TASKS, Case, Template

_LOG = logging.getLogger(__name__)

CASES = 4
"""Of every template, the first so many."""
SEEDS = {"sample": (1, 2, 3, 4, 5), "verify": (1, 2, 3, 4, 5, 6, 7, 8)}
TEMPERATURE = 0.8

TERSE = "Reply with the final answer only, no explanation."
STEPS = (
    "Think step by step in at most three short sentences. "
    "Then write the final answer on the last line as 'Answer: ...'."
)
VERIFY = "{question}\n\nProposed answer: {answer}\n\nIs this answer correct? Reply Yes or No."
"""Self-verification as in AutoMix (Aggarwal et al. 2023, section 3.1): the share of "Yes" is a confidence."""


@dataclass(frozen=True)
class Arm:
    """A candidate of the panel: a model file, a system prompt and a limit."""

    name: str
    file: str
    system: str
    max_tokens: int


ARMS = {
    arm.name: arm
    for arm in (
        Arm("small", "small", TERSE, 64),
        Arm("small-steps", "small", STEPS, 200),
        Arm("large", "large", TERSE, 64),
        Arm("large-steps", "large", STEPS, 200),
    )
}


@dataclass(frozen=True)
class Question:
    """One case of one template."""

    id: str
    template: Template
    case: Case

    @property
    def text(self) -> str:
        return self.template.wording.format(**self.case.slots)

    @property
    def prompt(self) -> str:
        """What is sent: the passage, where there is one, then the question."""
        return self.with_passage(self.text)

    def paraphrase(self, i: int) -> str:
        return self.with_passage(self.template.paraphrases[i].format(**self.case.slots))

    def with_passage(self, text: str) -> str:
        if self.template.passage is None:
            return text
        return f"{self.template.passage.format(**self.case.slots)}\n\n{text}"


@dataclass(frozen=True)
class Job:
    """One call."""

    question: Question
    arm: Arm
    prompt: str
    strategy: str = "greedy"
    sample: int = 0
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 64

    @property
    def prompt_hash(self) -> str:
        """Of all that the model reads: a question that changes is asked again."""
        system = "" if self.strategy == "verify" else self.arm.system
        return hashlib.sha256(f"{system}\0{self.prompt}".encode()).hexdigest()[:16]

    @property
    def key(self) -> str:
        parts = (self.arm.name, self.question.id, self.strategy, str(self.sample), self.prompt_hash)
        return "|".join(parts)


def load_templates() -> tuple[Template, ...]:
    """Every template, read afresh; a file that does not import is left out for now."""
    for name in [name for name in sys.modules if name.startswith("scripts.panel.questions")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    package = importlib.import_module("scripts.panel.questions")
    found: list[Template] = []
    for module in pkgutil.iter_modules(package.__path__):
        try:
            found += importlib.import_module(f"{package.__name__}.{module.name}").TEMPLATES
        except Exception as error:
            _LOG.warning("questions/%s.py is left out: %r", module.name, error)
    return tuple(found)


def questions(templates: tuple[Template, ...]) -> list[Question]:
    """First cases first, tasks taking turns, so that any prefix is a balanced panel."""
    ordered: list[Question] = []
    for i in range(CASES):
        by_task = [[t for t in templates if t.task == task and i < len(t.cases)] for task in TASKS]
        turns = itertools.chain.from_iterable(itertools.zip_longest(*by_task))
        ordered += [Question(f"{t.name}-{i}", t, t.cases[i]) for t in turns if t is not None]
    return ordered


def greedy(arms: tuple[str, ...], asked: list[Question], block: int = 50) -> Iterator[Job]:
    """Blocks of questions, arm by arm: prefixes are shared within, and a cut run stays balanced."""
    for start in range(0, len(asked), block):
        for arm in (ARMS[name] for name in arms):
            for question in asked[start : start + block]:
                yield Job(question, arm, question.prompt, max_tokens=arm.max_tokens)


def extras(asked: list[Question], answers: Mapping[str, str]) -> Iterator[Job]:
    """Samples, paraphrases and self-verifications of `small` on the first case of every template.

    `answers` maps the keys of its greedy jobs to what it said.
    """
    arm = ARMS["small"]
    for question in asked:
        base = Job(question, arm, question.prompt)
        if not question.id.endswith("-0") or base.key not in answers:
            continue
        for seed in SEEDS["sample"]:
            yield Job(question, arm, question.prompt, "sample", seed, TEMPERATURE, seed, arm.max_tokens)
        for i in range(len(question.template.paraphrases)):
            text = question.paraphrase(i)
            yield Job(question, arm, text, "paraphrase", i + 1, max_tokens=arm.max_tokens)
        text = VERIFY.format(question=question.prompt, answer=answers[base.key].strip())
        for seed in SEEDS["verify"]:
            yield Job(question, arm, text, "verify", seed, TEMPERATURE, seed, max_tokens=2)
