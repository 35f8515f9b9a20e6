"""A trained folder, asked many questions at once: for evaluation, offline labelling and calibration.

In a panel a head answers by `provider: student`, an adapter by `provider: local`; both say the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from suffice.errors import ConfigError
from suffice.providers.head import tempered
from suffice.providers.student import load_head
from suffice.providers.student_card import StudentCard, read_card
from suffice.types import FloatArray

_BATCH: Final = 16
Told = Callable[[int], None]
"""How many queries are answered."""
_Answer = Callable[[Sequence[str]], tuple[Sequence[str], FloatArray]]


@dataclass(frozen=True)
class Answers:
    """Of n queries."""

    texts: tuple[str, ...]
    confidence: FloatArray
    """(n,), in [0, 1]: how sure the student is that its answer is right."""
    latency_s: FloatArray
    """(n,): within a batch each query has its share."""
    cpu_s: FloatArray
    """(n,): of all threads, likewise; what `usd_per_cpu_hour` prices."""

    def __len__(self) -> int:
        return len(self.texts)


class Student:
    """A student in this process."""

    def __init__(self, card: StudentCard, answer: _Answer) -> None:
        """
        Parameters
        ----------
        answer : of some queries the texts, and (n,) how sure it is of each
        """
        self.card, self._answer = card, answer

    def answer(self, queries: Sequence[str], told: Told = lambda _: None) -> Answers:
        """A few at a time, by the clock."""
        texts: list[str] = []
        sure, wall, cpu = (np.empty(len(queries)) for _ in range(3))
        for start in range(0, len(queries), _BATCH):
            part = slice(start, min(start + _BATCH, len(queries)))
            n, clock, spent = part.stop - start, time.perf_counter(), time.process_time()
            said, sure[part] = self._answer(queries[part])
            texts += said
            wall[part], cpu[part] = (time.perf_counter() - clock) / n, (time.process_time() - spent) / n
            told(part.stop)
        return Answers(tuple(texts), sure, wall, cpu)


def open_student(folder: Path | str) -> Student:
    """The student in a folder.

    Raises
    ------
    ArtefactError
        If there is none, or it is damaged.
    MissingDependency
        If it is an adapter and the extra [torch] is not installed.
    ConfigError
        If it cannot be asked in this process, as a hosted one.
    """
    folder = Path(folder)
    card = read_card(folder)
    if card.kind == "head":
        return Student(card, load_head(folder, card).answer)
    if card.kind == "lora":
        return Student(card, _lora(folder, card))
    raise ConfigError(f"a {card.kind} student is asked by its endpoint: put {card.model!r} into the panel")


def _lora(folder: Path, card: StudentCard) -> _Answer:
    from suffice.distillation.trainers import lora
    from suffice.distillation.trainers.generating import generated

    model = lora.open_student(folder, card)

    def answer(queries: Sequence[str]) -> tuple[Sequence[str], FloatArray]:
        if not card.labels:
            return generated(model, card, queries)
        found = tempered(lora.class_log_probs(model, card, queries), card.temperature)
        chosen = found.argmax(axis=1)
        return [card.labels[place] for place in chosen.tolist()], np.exp(found.max(axis=1))

    return answer
