"""A text as the words it is searched by; the same for every index, so that their scores can be compared."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final

STOP_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "a about after all also am an and any are as at be been before being but by can could did do does "
        "for from had has have he her him his how i if in into is it its me my no not of on or our she "
        "should so some such than that the their them then there these they this those to was we were what "
        "when where which who whom why will with would you your",
    )
)
"""English words that say little about what is meant. They are indexed all the same: see `asked`."""
_LONGEST: Final = 64
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_SPACELESS: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai, Lao, Myanmar, Khmer, kana and Han: scripts written without spaces."""
_ASCII: Final = re.compile("[a-z0-9]+")


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Words with their vowel signs (which `\\w` leaves out), and runs without spaces inside words."""
    marks = "".join(
        chr(point) for point in range(0x370, 0x1E00) if unicodedata.category(chr(point))[0] == "M"
    )
    word = re.compile(f"(?:[^\\W_]|[{marks}])+")
    return word, re.compile(f"[{_SPACELESS}]+|[^{_SPACELESS}]+")


def words(text: str) -> list[str]:
    """Lower-case words without accents; of scripts without spaces, characters and pairs of them."""
    if text.isascii():
        return [word[:_LONGEST] for word in _ASCII.findall(text.lower())]
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text))).casefold()
    word, run = _patterns()
    found: list[str] = []
    for match in word.finditer(plain):
        for part in run.findall(match[0]):
            if re.match(f"[{_SPACELESS}]", part):
                found += [*part, *(part[at : at + 2] for at in range(len(part) - 1))]
            else:
                found.append(part[:_LONGEST])
    return found


def asked(query: str) -> list[str]:
    """What to search for: each word once and no stop words, unless there is nothing else ("The Who")."""
    distinct = list(dict.fromkeys(words(query)))
    return [word for word in distinct if word not in STOP_WORDS] or distinct
