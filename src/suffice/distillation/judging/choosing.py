"""Which of a teacher's answers becomes the label: that which most samples agree on."""

from __future__ import annotations

from typing import Final

import msgspec

from suffice.datasets.grading import answered_number, extract_answer
from suffice.distillation.flywheel.answers import fault, key_of, label_of
from suffice.distillation.flywheel.project import Task
from suffice.distillation.flywheel.rows import Row

_NUMERIC: Final = frozenset({"number", "gsm8k", "math"})


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One row's label."""

    label: str
    sample: int
    """Of which it was taken."""
    agreement: float | None
    """The share of usable samples that say the same; None of a single one."""
    other: int | None
    """The first sample that says something else."""


def choose(row: Row, task: Task) -> Choice | None:
    """By vote over usable samples (Wang et al., 2023, self-consistency); ties go to the earlier one.

    Nothing but the samples is looked at, so that a label is what the teacher would answer, right or wrong.

    Returns
    -------
    None where no sample is usable
    """
    found = [
        (number, label, _key(sample.text, label, task))
        for number, sample in enumerate(row.samples)
        if fault(sample) is None and (label := label_of(sample.text, task)) is not None
    ]
    if not found:
        return None
    keys = [key for _, _, key in found]
    won = max(dict.fromkeys(keys), key=keys.count)
    number, label, _ = next(one for one in found if one[2] == won)
    return Choice(
        label=label,
        sample=number,
        agreement=keys.count(won) / len(keys) if len(keys) > 1 else None,
        other=next((other for other, _, key in found if key != won), None),
    )


def _key(text: str, label: str, task: Task) -> str:
    if task.metric in _NUMERIC:
        number = answered_number(text)
        if number is not None:
            return repr(number)
    return key_of(label if task.kind != "generate" else extract_answer(text))
