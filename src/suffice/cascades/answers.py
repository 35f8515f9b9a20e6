"""What of an answer counts: two answers with the same key say the same."""

from __future__ import annotations

import re
from typing import Final

_FIELD: Final = re.compile(r'"answer"\s*:\s*("(?:[^"\\]|\\.)*"|\[[^\n]*\]|[^,}\n]+)', re.IGNORECASE)
_MARK: Final = re.compile(
    r"(?:####|\bfinal answer(?: is)?\b|\banswer(?: is)?\b|\bans\s*=)\s*[:=]?\s*([^\n]+)", re.IGNORECASE
)
_BOXED: Final = "\\boxed{"
_NUMBER: Final = re.compile(r"[-+]?[$\u20ac\u00a3]?\s?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?\s?%?\.?")
_NOTHING: Final = "''"
"""An answer that says it is empty, which may be right."""
_TAIL: Final = 4_000
"""Characters: an answer stands at the end."""


def answer_key(text: str) -> str:
    """The final answer as far as texts can be compared without knowing the task; "" for a text without any.

    In this order: the last JSON field "answer", the last box, what stands after the last "answer:" or
    "####", the whole text. Of that: a number where it is one, else the words and signs in lower case.

    Examples
    --------
    >>> answer_key('{"reasoning": "7 + 2", "answer": "9.0"}') == answer_key("Answer: 7 + 2 = 9\\\\nans = 9")
    True
    >>> answer_key("So it is \\\\boxed{\\\\frac{1}{2}}.")
    '\\\\frac{1}{2}'
    """
    if not text.strip():
        return ""
    return _plain(_said(text[-_TAIL:].strip())) or _NOTHING


def _said(text: str) -> str:
    if fields := _FIELD.findall(text):
        return str(fields[-1]).strip('"')
    if _BOXED in text:
        return _in_braces(text[text.rindex(_BOXED) + len(_BOXED) :])
    if marks := _MARK.findall(text):
        return str(marks[-1])
    return text


def _in_braces(text: str) -> str:
    """Up to the brace that closes the box."""
    depth = 1
    for place, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return text[:place]
    return text


def _plain(text: str) -> str:
    text = text.strip().strip("`*'\"$ ").removesuffix(".").strip()
    if _NUMBER.fullmatch(text):
        return f"{float(re.sub('[^-+.0-9eE]', '', text.removesuffix('.'))):.9g}"
    return "".join(text.casefold().split())
