"""`kd_offline`: learn from what the teacher nearly said, as its stored log-probabilities tell.

Hinton et al. (2015), Distilling the Knowledge in a Neural Network, arXiv 1503.02531, on the teacher's top k
tokens of each place, which is all that an API gives. No teacher runs while the student learns. Teacher and
student need not share a tokenizer: a class is known by the start of its label, other tokens count where
both cut the text alike; at all other places the student learns the text as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from msgspec import Meta

from suffice.distillation.flywheel.project import Settings
from suffice.distillation.flywheel.rows import Row, Sample
from suffice.distillation.trainers.base import Classes
from suffice.distillation.trainers.lessons import Lesson, Soft, Writing, one_hot
from suffice.distillation.trainers.lora import Lora, LoraSettings
from suffice.types import FloatArray, TokenLogprob

_LEAST_MASS: Final = 0.5
"""Of the teacher's tokens that the student must know for a place to count."""


class OfflineSettings(LoraSettings, frozen=True, kw_only=True):
    """Of the section `train`."""

    soft_weight: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """Of the teacher's distribution over labels; the rest goes to the label itself."""
    teacher_temperature: Annotated[float, Meta(gt=0)] = 1.0
    """Above 1 makes the teacher less sure."""


class OfflineKD(Lora):
    """Implements `Trainer`."""

    settings: ClassVar[type[Settings]] = OfflineSettings
    name: ClassVar[str] = "kd_offline"
    _settings: OfflineSettings

    def _truth(self, classes: Classes) -> FloatArray:
        """The label and, where it is known and agrees, the teacher's distribution: (n, K)."""
        own, truth = self._settings, one_hot(classes.y.tolist(), len(classes.labels))
        for place, row in enumerate(classes.rows):
            soft = label_chances(row.samples, classes.labels)
            if soft is None:
                continue
            soft = soft ** (1 / own.teacher_temperature)
            soft /= soft.sum()
            if soft.argmax() == classes.y[place]:  # else a judge or a vote corrected the teacher
                truth[place] = own.soft_weight * soft + (1 - own.soft_weight) * truth[place]
        return truth

    def text_lessons(self, rows: Sequence[Row], writing: Writing) -> list[Lesson]:
        """With the teacher's tokens, of a sample that says what the label says."""
        lessons = []
        for row in rows:
            if not row.label:
                continue
            lesson = writing.lesson(row.query, row.label)
            said = next((s.logprobs for s in row.samples if s.logprobs and s.text == row.label), None)
            soft = () if said is None else aligned(lesson.target, said, writing.tokenizer)
            lessons.append(replace(lesson, soft=soft if any(soft) else ()))
        return lessons


def label_chances(samples: Sequence[Sample], labels: Sequence[str]) -> FloatArray | None:
    """(K,), sums to 1: the teacher's chances of the labels; None where nothing is known of them.

    The mean over samples with log-probabilities, of the first place whose token begins a label; without
    any, the shares of several samples.
    """
    found = [one for sample in samples if (one := _first_place(sample.logprobs or (), labels)) is not None]
    if found:
        return np.asarray(np.mean(found, axis=0))
    keys = [label.casefold().strip() for label in labels]
    votes = [sample.text.casefold().strip() for sample in samples]
    shares = np.array([votes.count(key) for key in keys], np.float64)
    return shares / shares.sum() if len(samples) > 1 and shares.sum() else None


def _first_place(tokens: Sequence[TokenLogprob], labels: Sequence[str]) -> FloatArray | None:
    for token in tokens:
        if _label(token.token, labels) is None:
            continue
        chances = np.zeros(len(labels))
        for text, logprob in token.top or ((token.token, token.logprob),):
            if (place := _label(text, labels)) is not None:
                chances[place] += np.exp(logprob)
        return chances / chances.sum() if chances.sum() > 0 else None
    return None


def _label(token: str, labels: Sequence[str]) -> int | None:
    """The one label that begins with this token."""
    key = token.casefold().strip().strip("\"'*")
    places = [place for place, label in enumerate(labels) if key and label.casefold().startswith(key)]
    return places[0] if len(places) == 1 else None


def aligned(target: Sequence[int], said: Sequence[TokenLogprob], tokenizer: Any) -> tuple[Soft | None, ...]:
    """For each token of the target the teacher's alternatives, where both cut the text at the same places."""
    starts: dict[int, TokenLogprob] = {}
    length = 0
    for token in said:
        starts[length] = token
        length += len(token.token)
    found: list[Soft | None] = []
    for place, own in enumerate(target):
        theirs = starts.get(len(tokenizer.decode(list(target[:place])).lstrip()))
        if theirs is None or tokenizer.decode([own]).strip() != theirs.token.strip():
            found.append(None)
        else:
            found.append(_soft(theirs, own, place == 0, tokenizer))
    return tuple(found)


def _soft(token: TokenLogprob, own: int, is_first: bool, tokenizer: Any) -> Soft | None:
    """The teacher's tokens as the student's, if they are most of its mass."""
    chances: dict[int, float] = {}
    for text, logprob in token.top or ((token.token, token.logprob),):
        tokens = tokenizer.bare(" " + text.lstrip() if is_first else text)
        number = own if text == token.token else tokens[0] if len(tokens) == 1 else None
        if number is not None:
            chances[number] = chances.get(number, 0.0) + float(np.exp(logprob))
    total = sum(chances.values())
    if total < _LEAST_MASS:
        return None
    scale = 1 / max(total, 1.0)
    return tuple(chances), tuple(chance * scale for chance in chances.values())
