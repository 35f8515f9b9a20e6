"""What of an answer counts, as a key: two answers with the same key say the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from suffice.datasets.grading import answered_number, extract_answer, normalised_text

_NUMBERS: Final = frozenset({"number", "gsm8k"})
_LETTER: Final = re.compile(r"(?<![\w'])\(?([A-J])(?![\w'])")


def answer_key(text: str, kind: str = "", labels: Sequence[str] = ()) -> str:
    """The number, letter or label that was answered where the kind says which it is; else all words.

    Parameters
    ----------
    kind : a metric's name; never its reference
    labels : of a classification

    Returns
    -------
    "" where nothing was answered

    Examples
    --------
    >>> answer_key("She now has 14 + 9 = 23 marbles.", "number") == answer_key("23", "number")
    True
    >>> answer_key("It is Negative.", "label", ("positive", "negative"))
    'negative'
    """
    if kind in _NUMBERS and (number := answered_number(text)) is not None:
        return f"{number:.6g}"
    if kind == "choice" and (letter := _LETTER.search(extract_answer(text))):
        return letter[1]
    if labels and (label := answered_label(text, labels)):
        return label
    return normalised_text(extract_answer(text))


def answered_label(text: str, labels: Sequence[str]) -> str | None:
    """The one label that the answer names; None where it names none or several."""
    either = "|".join(re.escape(label.casefold()) for label in sorted(labels, key=len, reverse=True))
    found = (
        set(re.findall(rf"(?<!\w)(?:{either})(?!\w)", extract_answer(text).casefold())) if either else set()
    )
    return str(found.pop()) if len(found) == 1 else None


def labels_of(kind: str, reference: str) -> tuple[str, ...]:
    """The labels of a `label` item, in alphabetical order: what is right cannot be told from it."""
    if kind != "label":
        return ()
    right, _, rivals = reference.casefold().partition("//")
    return tuple(sorted({right.strip(), *(rival.strip() for rival in rivals.split(","))} - {""}))
