"""Forms of a text under which two of them are the same."""

from __future__ import annotations

import unicodedata
from typing import Final

from suffice.distillation.flywheel.rows import Row
from suffice.outcomes.splitting import normalised
from suffice.types import content_text

__all__ = ["bare", "normalised", "text_of"]

_DROPPED: Final = frozenset("NPS")
"""Categories of numbers, punctuation and symbols."""


def text_of(row: Row) -> str:
    """All that was said to the teacher: the query, or every message of a longer chat."""
    return "\n".join(content_text(one.get("content")) for one in row.messages) if row.messages else row.query


def bare(text: str) -> str:
    """Letters alone: without case, width, digits, punctuation and symbols, blanks single.

    A text without letters stays as `normalised` leaves it, so that "1 + 1" and "2 + 3" differ.

    Examples
    --------
    >>> bare("Gold ends up $9.60, or 1.1%, at $901.60"), bare("7 * 6")
    ('gold ends up or at', '7 * 6')
    """
    plain = normalised(text)
    if plain.isascii():
        kept = plain.translate(_ASCII)
    else:
        kept = "".join("" if unicodedata.category(char)[0] in _DROPPED else char for char in plain)
    return " ".join(kept.split()) or plain


_ASCII: Final = {code: None for code in range(33, 127) if not chr(code).isalpha()}
