"""Tokens with their probabilities as sentences, and the words of a text that mean something."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from suffice.retrieval.words import STOP_WORDS, words
from suffice.types import TokenLogprob

_END: Final = re.compile(r"[.!?]['\")\]]*(?=\s)|[\u3002\uff01\uff1f]|\n")
"""Where a sentence ends: at a mark with a space behind it, a full-width mark, or a line's end."""
_MARK: Final = re.compile(r"^\s*(?:<\|[^|]*\|>|</?s>|<end_of_turn>)\s*$")
"""A token that only ends a turn."""


def first_sentence(text: str) -> str:
    """Up to the end of the first sentence that says something.

    Examples
    --------
    >>> first_sentence("It is 3.5 m long. It is red.")
    'It is 3.5 m long.'
    """
    bare = text.strip()
    found = _END.search(bare)
    return bare if found is None else bare[: found.end()].strip()


def spoken(tokens: Sequence[TokenLogprob]) -> list[TokenLogprob]:
    """Without those that only end a turn."""
    return [token for token in tokens if not _MARK.match(token.token)]


def sentences(tokens: Sequence[TokenLogprob]) -> list[list[TokenLogprob]]:
    """The tokens of every sentence, all of them; a token that holds the end of one belongs to it."""
    ends = [match.end() for match in _END.finditer(joined(tokens))]
    found: list[list[TokenLogprob]] = []
    is_new = True
    at = 0
    for token in tokens:
        if is_new and (token.token.strip() or not found):  # blanks belong to what was before
            found.append([])
            is_new = False
        found[-1].append(token)
        at += len(token.token)
        if ends and at >= ends[0]:
            is_new = True
            ends = [end for end in ends if end > at]
    return found


def by_word(tokens: Sequence[TokenLogprob]) -> list[list[TokenLogprob]]:
    """The tokens of every word: a blank begins the next one."""
    found: list[list[TokenLogprob]] = []
    for token in tokens:
        if not found or token.token[:1].isspace() or joined(found[-1])[-1:].isspace():
            found.append([])
        found[-1].append(token)
    return found


def joined(tokens: Sequence[TokenLogprob]) -> str:
    return "".join(token.token for token in tokens)


def content_words(text: str) -> list[str]:
    """Words in their order that are no stop words and longer than a letter, or a number."""
    return [word for word in words(text) if word not in STOP_WORDS and (len(word) > 1 or word.isdigit())]
