"""The same question in other clothes: surface rewordings that change no meaning.

They are made by rule, from a seed, and touch the surface alone: letters, spaces, manners. A router whose
choice turns on them reads what does not matter. They say nothing about true paraphrase.

References
----------
RouterArena (2025), arXiv 2510.00202: robustness, the share of unchanged choices under rewording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

_TYPO_RATE: Final = 0.01
"""Of letters, and at least one in a text."""
_OPENINGS: Final = ("Hello! ", "Please help me with this: ", "Could you answer this for me? ", "Hi there. ")
_CLOSINGS: Final = (" Thank you!", " Thanks in advance.", " Please answer carefully.", "")


def reworded(texts: Sequence[str], *, seed: int = 0) -> dict[str, list[str]]:
    """Every text in every kind of rewording.

    Parameters
    ----------
    texts : n of them
    seed : a text's rewording depends on it and on the text alone

    Returns
    -------
    dict of kind -> n texts
    """
    return {
        kind: [change(text, Random(f"{seed}:{kind}:{text}")) for text in texts]
        for kind, change in KINDS.items()
    }


def _lower_case(text: str, _: Random) -> str:
    return text.lower()


def _spaces(text: str, rng: Random) -> str:
    """Doubled spaces here and there, and one at either end; lines stay."""
    return " " + re.sub(r"(?<=\S) (?=\S)", lambda _: "  " if rng.random() < 0.2 else " ", text) + " "


def _polite(text: str, rng: Random) -> str:
    return rng.choice(_OPENINGS) + text + rng.choice(_CLOSINGS)


def _punctuation(text: str, _: Random) -> str:
    """Straight quotes for curly ones, and no mark at the end."""
    for curly, straight in (("\u201c", '"'), ("\u201d", '"'), ("\u2019", "'"), ("\u2026", "...")):
        text = text.replace(curly, straight)
    return text.rstrip().rstrip(".?!") or text


def _typos(text: str, rng: Random) -> str:
    """Neighbouring letters swapped, inside words only."""
    places = [at for at in range(1, len(text) - 2) if text[at - 1 : at + 3].isalpha()]
    letters = list(text)
    for at in rng.sample(places, min(len(places), max(1, round(_TYPO_RATE * len(text))))):
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


KINDS: Final[Mapping[str, Callable[[str, Random], str]]] = {
    "lower case": _lower_case,
    "spaces": _spaces,
    "polite": _polite,
    "punctuation": _punctuation,
    "typos": _typos,
}
