"""Multiple choice: the letter that a response settles on."""

from __future__ import annotations

import re
from typing import Final

_LETTER: Final = r"[A-J]"
_MARKS: Final = r"[\s*_`\"'(\[{$]*"
_SAID: Final = re.compile(
    rf"(?:\banswer|\bchoice|\boption|\bcorrect(?:\s+one)?)\b(?:\s+(?:is|would\s+be|should\s+be|must\s+be|to\s+this"
    rf"\s+question\s+is|here\s+is|choice\s+is|option\s+is)\b)?{_MARKS}:?{_MARKS}(?:\\text\{{|\\boxed\{{)?"
    rf"(?:option|choice|letter)?{_MARKS}({_LETTER})(?![\w'])",
    re.IGNORECASE,
)
_BOXED: Final = re.compile(rf"\\boxed\{{\s*(?:\\text\{{)?\(?({_LETTER})\)?\s*\}}", re.IGNORECASE)
_LEAD: Final = re.compile(rf"^{_MARKS}({_LETTER})(?:[)\].:,*_`}}]|\s*$|\s+[-\u2013]|\s*\n)", re.IGNORECASE)
_MARKED: Final = re.compile(rf"\(({_LETTER})\)|\*\*({_LETTER})(?:[).:][^*]*)?\*\*|(?<![\w'])({_LETTER})\)")
_ALONE: Final = re.compile(r"(?<![\w'])([B-HJ])(?![\w'])|(?<![\w'])([AI])(?=\s*[.):]?\s*$)")


def chosen_letter(response: str) -> str | None:
    """The letter A to J that a response chooses, or None where it chooses none or several.

    In this order: the last `\\boxed{B}`, the last "the answer is B" or "Answer: B", a leading "B", "B) ...",
    then letters marked as options, then letters standing alone, both only where all are the same one. A
    lone "A" or "I" inside a sentence is a word.

    Examples
    --------
    >>> chosen_letter("A is tempting, but the correct answer is (C).")
    'C'
    >>> chosen_letter("B or C") is None
    True
    """
    text = response.strip()[-20_000:]
    for pattern in (_BOXED, _SAID):
        if found := pattern.findall(text):
            return str(found[-1]).upper()
    if lead := _LEAD.match(text):
        return lead[1].upper()
    for pattern in (_MARKED, _ALONE):
        letters = {next(filter(None, groups)) for groups in pattern.findall(text)}
        if letters:
            return letters.pop() if len(letters) == 1 else None
    return None


class MultipleChoice:
    """1 where the chosen letter is the right one; no guess is made where none was chosen."""

    def score(self, response: str, reference: str) -> float:
        wanted = reference.strip().strip("()").upper()
        if not re.fullmatch(_LETTER, wanted):
            raise ValueError(f"the reference {reference[:40]!r} is no letter from A to J")
        return float(chosen_letter(response) == wanted)
