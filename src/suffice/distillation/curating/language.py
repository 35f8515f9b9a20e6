"""A guess at a text's language: by script, then by common words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = "?"
_SCRIPTS: Final = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
"""Of a script with several languages, the one with most speakers; Japanese before Chinese: it uses both."""
_COMMON: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(words.split())
    for name, words in {
        "en": "the of and to in is that for it with as was on be are this what how by from an or not you",
        "de": "der die das und ist nicht ein eine mit von zu den auf für wie was ich sie wird auch dem im",
        "fr": "le la les des et est une un pour que qui dans sur pas avec ce il elle vous sont au du",
        "es": "el la los las y es un una para que en por con no del como se su más qué al lo",
        "it": "il lo la gli e è un una per che in con non del della come si sono più di al cosa",
        "pt": "o a os as e é um uma para que em por com não do da como se mais dos ao qual",
        "nl": "de het een en is van in op te dat niet met voor zijn wat hoe aan er die ook",
    }.items()
}
_WORD: Final = re.compile(r"[^\W\d_]+")
_HEAD: Final = 2_000


def guess(text: str) -> str:
    """ISO 639-1, or "?" where the text is too short or has too few common words to tell.

    Examples
    --------
    >>> guess("What is the capital of France?"), guess("Was ist die Hauptstadt?"), guess("gold")
    ('en', 'de', '?')
    """
    text = text[:_HEAD]
    letters = sum(char.isalpha() for char in text)
    for name, signs in _SCRIPTS:
        if letters and len(signs.findall(text)) > 0.3 * letters:
            return name
    words = _WORD.findall(text.casefold())
    hits = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    best, second = sorted(hits, key=lambda name: -hits[name])[:2]
    return best if hits[best] >= 2 and hits[best] > hits[second] else UNKNOWN
