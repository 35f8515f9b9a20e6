"""What every trainer is given and what it leaves: a folder with `student.json` in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import numpy as np

from suffice.calibration import Temperature
from suffice.distillation.flywheel.project import Settings, Task
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.trainers.loop import Progress, Say
from suffice.errors import DataError
from suffice.providers.student_card import StudentCard
from suffice.types import FloatArray, IntArray

CLASSIFY: Final = "classify"
LOSS: Final = "validation_log_loss"
"""Of a card's facts: the mean surprise at the labels of validation rows."""
_LEAST_TO_CALIBRATE: Final = 20


@dataclass(frozen=True)
class Course:
    """What is taught, and where the student goes."""

    rows: Sequence[Row]
    """Their `label` is what the student is to say."""
    validation: Sequence[Row]
    """Choose settings, the best epoch and the temperature; may be empty."""
    task: Task
    out: Path
    """A folder of this training alone; what an interrupted one left in it is gone on from."""
    say: Say = lambda _: None
    """One line for people."""
    report: Callable[[Progress], None] = lambda _: None


class Trainer(Protocol):
    """A class in the registry."""

    extra: ClassVar[str | None]
    """The extra without which it cannot train; None needs nothing more."""
    settings: ClassVar[type[Settings]]
    aside: ClassVar[frozenset[str]]
    """Settings that do not change the student, such as how long to wait for it."""

    def __init__(self, settings: Any) -> None: ...

    def train(self, course: Course) -> StudentCard:
        """Raises DataError where the rows teach nothing, MissingDependency, ConfigError."""
        ...


@dataclass(frozen=True)
class Classes:
    """Rows of a classification whose labels are known, as numbers."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]
    y: IntArray
    """(n,): places in `labels`."""
    rows: tuple[Row, ...]

    @property
    def counts(self) -> IntArray:
        """(K,)"""
        return np.bincount(self.y, minlength=len(self.labels))


def classes_of(rows: Sequence[Row], labels: Sequence[str], say: Say, *, name: str = "training") -> Classes:
    """Rows as classes; what has no label, or none that is allowed, is left out and counted.

    Parameters
    ----------
    labels : allowed ones; empty takes those of the rows
    """
    known = tuple(labels) or tuple(sorted({row.label.strip() for row in rows if row.label}))
    place = {_plain(label): number for number, label in enumerate(known)}
    kept = [(row, place[_plain(row.label)]) for row in rows if row.label and _plain(row.label) in place]
    if left := len(rows) - len(kept):
        say(f"{left} of {len(rows)} {name} rows left out: no label, or none of {', '.join(known)}")
    texts = tuple(row.query for row, _ in kept)
    y = np.array([number for _, number in kept], np.intp)
    return Classes(known, texts, y, tuple(row for row, _ in kept))


def teachable(course: Course) -> tuple[Classes, Classes]:
    """The course's rows and validation rows as classes.

    Raises
    ------
    DataError
        If no row has a label, or all have the same one.
    """
    train = classes_of(course.rows, course.task.labels, course.say)
    present = np.flatnonzero(train.counts)
    if len(present) < 2:
        seen = f"all {len(train.y)} say {train.labels[present[0]]!r}" if len(present) else "none has a label"
        raise DataError(f"nothing to tell apart: of {len(course.rows)} training rows {seen}")
    if missing := [label for place, label in enumerate(train.labels) if place not in present]:
        course.say(f"no training row says {', '.join(missing)}: the student will hardly ever")
    if n := contradictions(train.texts, train.y.tolist()):
        course.say(
            f"{n} texts stand among the training rows with more than one label: their shares are learnt"
        )
    validation = classes_of(course.validation, train.labels, course.say, name="validation")
    return train, validation


def contradictions(texts: Sequence[str], labels: Sequence[Any]) -> int:
    """How many texts, but for case and blanks, have more than one label."""
    seen: dict[str, set[Any]] = {}
    for text, label in zip(texts, labels, strict=True):
        seen.setdefault(" ".join(text.lower().split()), set()).add(label)
    return sum(len(found) > 1 for found in seen.values())


def calibrated(log_probs: FloatArray, y: IntArray) -> float:
    """The temperature of validation rows (n, K); 1 with fewer than 20 of them, or none answered wrong.

    Where none is wrong the likeliest temperature is 0: it would promise certainty that nobody has seen.
    """
    if len(y) < _LEAST_TO_CALIBRATE or (log_probs.argmax(axis=1) == y).all():
        return 1.0
    return float(Temperature().fit(log_probs, y).temperature_)


def told(log_probs: FloatArray, y: IntArray, temperature: float = 1.0) -> dict[str, Any]:
    """What a card says of validation rows: (n, K) log-probabilities before the temperature, and labels."""
    if not len(y):
        return {}
    scaled = log_probs / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(y)), y]
    return {
        "validation_accuracy": round(float((scaled.argmax(axis=1) == y).mean()), 4),
        LOSS: round(float(surprise.mean()), 6),
    }


def _plain(label: str) -> str:
    return " ".join(label.casefold().split())
