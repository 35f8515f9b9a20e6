"""`dpo`: learn to prefer what the teacher (or its judge) chose over what it did not.

Rafailov et al. (2023), arXiv 2305.18290, with the surprise at the chosen answer added to the loss (Pang et
al., 2024, Iterative Reasoning Preference Optimization, arXiv 2404.19733, equation 1): a base that was never
tuned must learn to say it at all. The chosen answer is the row's label, the rejected one
`meta["rejected"]`, else the first sample that says something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from suffice.distillation.dpo import dpo_loss
from suffice.distillation.flywheel.answers import key_of
from suffice.distillation.flywheel.project import Settings
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.trainers.base import Course
from suffice.distillation.trainers.causal import Causal
from suffice.distillation.trainers.lessons import Lesson
from suffice.distillation.trainers.lora import Lora, LoraSettings
from suffice.errors import DataError
from suffice.providers.student_card import StudentCard
from suffice.routers.tuning import Rows


class PreferenceSettings(LoraSettings, frozen=True, kw_only=True):
    """Of the section `train`."""

    beta: Annotated[float, Meta(gt=0)] = 0.1
    """The smaller, the further the student may leave its base."""
    surprise_weight: Annotated[float, Meta(ge=0)] = 1.0
    """Of the chosen answer's own cross-entropy."""


class Preference(Lora):
    """Implements `Trainer`."""

    settings: ClassVar[type[Settings]] = PreferenceSettings
    name: ClassVar[str] = "dpo"
    _settings: PreferenceSettings

    def train(self, course: Course) -> StudentCard:
        """As `Lora.train`."""
        pairs = [(row, other) for row in course.rows if (other := rejected(row)) is not None]
        if not pairs:
            raise DataError(
                f"none of {len(course.rows)} training rows has both a chosen and a rejected answer: ask the "
                "teacher for several samples, or put the student's own into meta.rejected"
            )
        course.say(f"{len(pairs)} of {len(course.rows)} training rows have a rejected answer")
        desk = self._desk(course)
        chosen = [desk.writing.lesson(row.query, row.label or "") for row, _ in pairs]
        others = [desk.writing.lesson(row.query, other) for row, other in pairs]
        looks = desk.lessons(self)[1]
        with desk.model.untrained():
            reference = _no_gradients(desk.model, chosen, others)

        def loss(rows: Rows) -> Any:
            import torch

            good, bad = [chosen[row] for row in rows], [others[row] for row in rows]
            found = _pairs(desk.model, good, bad)
            both = torch.zeros((len(rows), 1, 2), dtype=torch.long, device=found.device)
            both[:, :, 1] = 1  # the first is chosen
            lengths = torch.tensor([len(one.target) for one in good], device=found.device)
            surprise = -found[:, 0] / lengths
            preferred = dpo_loss(found, reference[rows], both, beta=self._settings.beta) * len(rows)
            return preferred + self._settings.surprise_weight * surprise.sum()

        sizes = [len(one) + len(other) for one, other in zip(chosen, others, strict=True)]
        what = [(one.prompt, one.target, other.target) for one, other in zip(chosen, others, strict=True)]
        trained = self._run(desk, loss, None, sizes, what)
        return self._finished(desk, looks, trained, len(pairs), max(len(one.target) for one in chosen))


def rejected(row: Row) -> str | None:
    """What was not chosen; None where there is nothing, or nothing was chosen."""
    if not row.label:
        return None
    given = row.meta.get("rejected")
    if isinstance(given, str) and given.strip():
        return given
    chosen = key_of(row.label)
    texts = (sample.text for sample in row.samples)
    return next((text for text in texts if text.strip() and key_of(text) != chosen), None)


def _pairs(model: Causal, chosen: Sequence[Lesson], others: Sequence[Lesson]) -> Any:
    """(n, 2): log-probability of every chosen and every other target."""
    import torch

    both = [*chosen, *others]
    logits, whose = model.logits(both)
    said = torch.tensor([token for one in both for token in one.target]).to(logits.device)
    each = logits.log_softmax(dim=1).gather(1, said[:, None])[:, 0]
    sums = torch.zeros(len(both), device=each.device).index_add(0, whose, each)
    return sums.reshape(2, len(chosen)).T


def _no_gradients(model: Causal, chosen: Sequence[Lesson], others: Sequence[Lesson]) -> Any:
    import torch

    with torch.no_grad():
        found = [_pairs(model, [one], [other]) for one, other in zip(chosen, others, strict=True)]
    return torch.cat(found)
