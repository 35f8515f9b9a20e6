"""What an answer says: whether it can be learnt from, and its label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from suffice.datasets.grading import extract_answer, normalised_text
from suffice.distillation.flywheel.project import Task
from suffice.distillation.flywheel.rows import Sample
from suffice.plans.usable import is_refusal

_CUT: Final = frozenset({"length", "max_tokens"})
_FENCE: Final = re.compile(r"\A\s*```\w*\s*(.*?)\s*```\s*\Z", re.DOTALL)
_THOUGHT: Final = re.compile(r"\A\s*<think(?:ing)?>(.*?)</think(?:ing)?>\s*", re.DOTALL | re.IGNORECASE)


def fault(sample: Sample) -> str | None:
    """Why an answer cannot be learnt from: "empty", "refused" or "cut off"; None: it can."""
    if sample.finish == "content_filter":
        return "refused"
    if not sample.text.strip():
        return "empty"
    if is_refusal(sample.text):
        return "refused"
    return "cut off" if sample.finish in _CUT else None


def label_of(text: str, task: Task) -> str | None:
    """What a student is to say for this answer; None where the answer says no label of the task.

    A classification gives one of the labels as the project spells it (any text where it names none), an
    extraction the answer without its code fence, a generation the answer as it is.
    """
    if task.kind == "classify":
        return said_label(text, task.labels) if task.labels else extract_answer(text).strip() or None
    if task.kind == "extract":
        return _FENCE.sub(r"\1", text).strip() or None
    return text.strip() or None


def said_label(text: str, labels: Sequence[str]) -> str | None:
    """The one label that an answer names; None for none or several.

    An answer that is a label counts first; then what stands behind its last "Answer:"; then whole words.

    Examples
    --------
    >>> said_label("**Not spam.**", ["spam", "not spam"]), said_label("spam or not", ["spam", "ham"])
    ('not spam', 'spam')
    >>> said_label("It could be up or down", ["up", "down"]) is None
    True
    """
    by_key = {normalised_text(label): label for label in labels}
    answer = normalised_text(extract_answer(text))
    if answer in by_key:
        return by_key[answer]
    # longest first, so that "not spam" is not read as "spam"
    either = "|".join(re.escape(key) for key in sorted(by_key, key=len, reverse=True) if key)
    found = set(re.findall(rf"(?<!\w)(?:{either})(?!\w)", answer)) if either else set()
    return by_key[found.pop()] if len(found) == 1 else None


def key_of(text: str) -> str:
    """Answers with the same key say the same."""
    return normalised_text(text)


def split_reasoning(text: str) -> tuple[str | None, str]:
    """What a model thought aloud before its answer, and the answer.

    Examples
    --------
    >>> split_reasoning("<think>6 x 7</think> 42"), split_reasoning("42")
    (('6 x 7', '42'), (None, '42'))
    """
    found = _THOUGHT.match(text)
    return (found[1].strip(), text[found.end() :]) if found else (None, text)
