"""A document cut into passages that overlap, so that no sentence stands only across a cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

from suffice.errors import ConfigError

_WORD = re.compile(r"\S+")
_LONGEST_WORD = 400
"""A longer one (a script without spaces, a data URL) is cut as well."""


def check_sizes(size: int, overlap: int) -> None:
    """Raises ConfigError unless 0 <= overlap < size."""
    if not 0 <= overlap < size:
        raise ConfigError(f"passages of {size} words with {overlap} in common: 0 <= overlap < size is needed")


def chunks(text: str, *, size: int = 200, overlap: int = 40) -> Iterator[str]:
    """Passages of at most `size` words; each begins with the last `overlap` words of the one before.

    Line breaks inside a passage stay as they are.

    Raises
    ------
    ConfigError
        Unless 0 <= overlap < size.
    """
    check_sizes(size, overlap)
    spans = [
        (start, min(start + _LONGEST_WORD, match.end()))
        for match in _WORD.finditer(text)
        for start in range(match.start(), match.end(), _LONGEST_WORD)
    ]
    for first in range(0, max(len(spans) - overlap, min(len(spans), 1)), size - overlap):
        last = min(first + size, len(spans)) - 1
        yield text[spans[first][0] : spans[last][1]]
