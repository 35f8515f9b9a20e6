"""`lora`: a small language model with low-rank additions, on a CPU or a GPU.

Classes are learnt at the place of the label alone, other answers over all their tokens. With rationales
the model learns two tasks (Hsieh et al., 2023, Distilling Step-by-Step!, arXiv 2305.02301): the answer,
and, behind another prompt, the teacher's reasoning, which nobody has to wait for later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import msgspec
import numpy as np
from msgspec import Meta

from suffice.distillation.flywheel.project import Settings
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.gguf_adapter import write_gguf
from suffice.distillation.trainers.base import CLASSIFY, Classes, Course, calibrated, teachable, told
from suffice.distillation.trainers.bases import base_folder
from suffice.distillation.trainers.causal import ALL_PROJECTIONS, Causal, need_torch
from suffice.distillation.trainers.lessons import REASONING, Lesson, Writing, default_prompt, one_hot
from suffice.distillation.trainers.licences import Licence, licence_of, warn
from suffice.distillation.trainers.loop import Count, Descent, Schedule, Trained, fingerprint
from suffice.distillation.trainers.objectives import losses_of, row_losses
from suffice.errors import ConfigError, DataError
from suffice.providers.adapter_student import GGUF
from suffice.providers.student_card import StudentCard, write_card
from suffice.routers.losses import Loss
from suffice.routers.pytorch import seeded
from suffice.routers.tuning import Rows
from suffice.types import FloatArray

ADAPTER: Final = "adapter"


class LoraSettings(Settings, frozen=True, kw_only=True):
    """Of the section `train`."""

    base: str
    """A directory in the format of transformers, a GGUF file (unpacked once, beside it), or "tiny"."""
    prompt: str | None = None
    """A template with `{query}`; None: instruction, query, "Answer:"."""
    rank: Count = 8
    alpha: Annotated[float, Meta(gt=0)] = 16.0
    projections: tuple[str, ...] = ALL_PROJECTIONS
    max_length: Annotated[int, Meta(ge=16)] = 256
    """Tokens of prompt and answer together."""
    epochs: Count = 1
    batch: Count = 8
    rate: Annotated[float, Meta(gt=0)] = 5e-4
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    loss: str = "cross_entropy"
    """Among the labels: cross_entropy, label_smoothing, focal, focal_sample."""
    loss_strength: float | None = None
    rationale_weight: Annotated[float, Meta(ge=0)] = 0.0
    """Of the reasoning as a second task, where the teacher's is known; 0 leaves it out."""
    checkpoint_every: Count = 10
    """Steps."""
    seed: int = 0

    def schedule(self) -> Schedule:
        names = Schedule.__struct_fields__
        return Schedule(**{name: getattr(self, name) for name in names})


class Lora:
    """Implements `Trainer`."""

    extra: ClassVar[str | None] = "torch"
    settings: ClassVar[type[Settings]] = LoraSettings
    name: ClassVar[str] = "lora"
    aside: ClassVar[frozenset[str]] = frozenset({"checkpoint_every"})

    def __init__(self, settings: LoraSettings) -> None:
        self._settings = settings
        self._loss = Loss(settings.loss, settings.loss_strength)

    def train(self, course: Course) -> StudentCard:
        """The adapter in peft's format in `adapter/`, for llama.cpp as `adapter.gguf`, and `student.json`."""
        desk = self._desk(course)
        lessons, looks = desk.lessons(self)
        if not lessons:
            raise DataError(f"none of {len(course.rows)} training rows says what to answer")
        n_train = len(lessons)
        longest = max(len(one.target) for one in lessons)
        lessons += self._rationales(course.rows, desk.writing)
        trained = self._descend(desk, lessons, looks)
        return self._finished(desk, looks, trained, n_train, longest)

    def _desk(self, course: Course) -> Desk:
        """Everything but the lessons."""
        need_torch()
        own, task = self._settings, course.task
        base = base_folder(own.base)
        licence = warn(licence_of(base), course.say)
        classes = teachable(course) if task.kind == CLASSIFY else None
        model = Causal.open(
            base,
            rank=own.rank,
            alpha=own.alpha,
            projections=own.projections,
            max_length=own.max_length,
            seed=own.seed,
        )
        prompt = own.prompt or default_prompt(task.instruction)
        writing = Writing(model.tokenizer, prompt, end=model.end, max_length=own.max_length)
        firsts = writing.first_tokens(classes[0].labels) if classes is not None else ()
        return Desk(course, base, model, writing, prompt, licence, classes, firsts)

    def _finished(
        self, desk: Desk, looks: Sequence[Lesson], trained: Trained, n_train: int, longest: int
    ) -> StudentCard:
        """Save what was learnt; with validation rows, the temperature too."""
        own, course, classes = self._settings, desk.course, desk.classes
        save_adapter(desk.model, course)
        temperature, facts = 1.0, dict[str, Any]()
        if classes is not None and looks:
            found = label_log_probs(desk.model, looks, desk.firsts)
            temperature = calibrated(found, classes[1].y)
            facts = told(found, classes[1].y, temperature)
        card = StudentCard(
            kind="lora",
            trainer=self.name,
            task=course.task.kind,
            labels=classes[0].labels if classes is not None else (),
            instruction=course.task.instruction,
            prompt=desk.prompt,
            base=desk.base,
            licence=desk.licence.name,
            max_length=own.max_length,
            max_tokens=longest,
            temperature=temperature,
            n_train=n_train,
            n_validation=len(looks),
            settings=msgspec.to_builtins(own),
            facts={**msgspec.to_builtins(trained), **facts},
        )
        write_card(card, course.out)
        return card

    def class_lessons(self, classes: Classes, writing: Writing) -> list[Lesson]:
        """One of each row."""
        truth = self._truth(classes)
        lessons = []
        for text, place, goal in zip(classes.texts, classes.y.tolist(), truth, strict=True):
            lesson = writing.lesson(text, classes.labels[place])
            lessons.append(replace(lesson, truth=goal))
        return lessons

    def _truth(self, classes: Classes) -> FloatArray:
        """(n, K): what the first token should be."""
        return one_hot(classes.y.tolist(), len(classes.labels))

    def text_lessons(self, rows: Sequence[Row], writing: Writing) -> list[Lesson]:
        """One of each row that has a label."""
        return [writing.lesson(row.query, row.label) for row in rows if row.label]

    def _rationales(self, rows: Sequence[Row], writing: Writing) -> list[Lesson]:
        if not self._settings.rationale_weight:
            return []
        found = ((row, next((one.reasoning for one in row.samples if one.reasoning), None)) for row in rows)
        weight = self._settings.rationale_weight
        return [
            writing.lesson(row.query, reasoning, weight=weight, after=REASONING)
            for row, reasoning in found
            if reasoning and row.label
        ]

    def _descend(self, desk: Desk, lessons: Sequence[Lesson], looks: Sequence[Lesson]) -> Trained:
        def loss(rows: Rows) -> Any:
            return row_losses(desk.model, [lessons[row] for row in rows], desk.firsts, self._loss).sum()

        def look() -> float:
            return mean_loss(desk.model, looks, desk.firsts)

        what = [(one.prompt, one.target, one.weight) for one in lessons]
        return self._run(desk, loss, look if looks else None, [len(one) for one in lessons], what)

    def _own(self) -> dict[str, Any]:
        """Settings that change what is learnt."""
        own = msgspec.to_builtins(self._settings)
        return {name: value for name, value in own.items() if name not in self.aside}

    def _run(
        self,
        desk: Desk,
        loss: Callable[[Rows], Any],
        look: Callable[[], float] | None,
        lengths: Sequence[int],
        what: Any,
    ) -> Trained:
        descent = Descent(
            desk.model.weights,
            loss,
            self._settings.schedule(),
            desk.course.out,
            of=fingerprint(self.name, self._own(), desk.prompt, what),
            look=look,
            say=desk.course.say,
            report=desk.course.report,
        )
        with seeded(self._settings.seed):
            return descent.run(lengths)


@dataclass(frozen=True)
class Desk:
    """What a training of this kind works with."""

    course: Course
    base: str
    """The folder of the base."""
    model: Causal
    writing: Writing
    prompt: str
    licence: Licence
    classes: tuple[Classes, Classes] | None
    """Training and validation rows; None where texts are learnt."""
    firsts: tuple[int, ...]

    def lessons(self, trainer: Lora) -> tuple[list[Lesson], list[Lesson]]:
        """Of training and validation rows."""
        if self.classes is not None:
            train, held = (trainer.class_lessons(part, self.writing) for part in self.classes)
        else:
            parts = (self.course.rows, self.course.validation)
            train, held = (trainer.text_lessons(part, self.writing) for part in parts)
        return train, held


def mean_loss(model: Causal, lessons: Sequence[Lesson], firsts: Sequence[int]) -> float:
    """Cross-entropy with the lessons, without gradients."""
    total = 0.0
    for rows, logits, whose in model.blocks(lessons):
        chosen = [lessons[row] for row in rows]
        total += float(losses_of(logits, whose, chosen, firsts, Loss()).sum())
    return total / len(lessons)


def save_adapter(model: Causal, course: Course) -> None:
    """In peft's format, and as `adapter.gguf` where GGUF knows the architecture."""
    model.save(course.out / ADAPTER)
    try:
        write_gguf(course.out / ADAPTER, model.config.to_dict(), course.out / GGUF)
    except ConfigError as error:
        course.say(f"llama.cpp cannot serve it: {error}")


def label_log_probs(model: Causal, lessons: Sequence[Lesson], firsts: Sequence[int]) -> FloatArray:
    """(n, K): log-probabilities of the labels among themselves, at the first place of each target."""
    found = np.empty((len(lessons), len(firsts)))
    for rows, logits, whose in model.blocks([replace(one, target=one.target[:1]) for one in lessons]):
        del whose  # one place each, in order
        found[rows] = logits[:, list(firsts)].log_softmax(dim=1).cpu().numpy()
    return found


def class_log_probs(model: Causal, card: StudentCard, texts: Sequence[str]) -> FloatArray:
    """(n, K): as `label_log_probs`, of texts, for a model that `card` describes."""
    assert card.prompt is not None
    writing = Writing(model.tokenizer, card.prompt, end=model.end, max_length=card.max_length)
    firsts = writing.first_tokens(card.labels)
    lessons = [writing.lesson(text, card.labels[0]) for text in texts]
    return label_log_probs(model, lessons, firsts)


def open_student(folder: Path, card: StudentCard) -> Causal:
    """The base that a card names, with the folder's adapter."""
    assert card.base is not None
    return Causal.load(card.base, folder / ADAPTER, max_length=card.max_length)
