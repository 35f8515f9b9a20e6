"""Small words and their kinds, from `lexicon.json`: what a guard looks for, and what says the same.

English mostly; negations of twenty languages. Of a language that is not in it every word counts as a word of
its own, so an answer is then served to much the same words only.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from typing import Final, Literal, NamedTuple

import msgspec

Kind = Literal[
    "filler", "word", "negation", "unit", "date", "quantity", "question", "number", "ordinal", "scale"
]

QUESTIONS: Final = {
    **{
        word: word
        for word in ("who", "when", "where", "why", "how", "howmany", "howmuch", "howlong", "howoften")
    },
    "what": "what",
    "which": "what",
    "whether": "whether",
}


_LETTERS: Final = re.compile("[a-z]+")


class Sort(NamedTuple):
    """What a word is."""

    kind: Kind
    value: str
    """The one spelling of all words that say the same; of a number its digits."""
    is_known: bool = True
    """False of a word that the lexicon does not hold: a name, a term, another language."""


class _File(msgspec.Struct, frozen=True):
    contractions: list[tuple[str, str]]
    phrases: list[tuple[str, str, str]]
    """Which words call for it, pattern, what stands for it."""
    fillers: str
    groups: dict[str, str]
    opposites: list[str]
    light: str
    """Words that add little: what is said twice, or goes without saying."""
    units: dict[str, str]
    dates: dict[str, str]
    quantities: dict[str, str]
    negations: str
    numbers: dict[str, int]
    ordinals: dict[str, int]
    scales: dict[str, int]


class Lexicon:
    """The words in the form in which they are looked up."""

    def __init__(self, file: _File) -> None:
        self._contractions = [(re.compile(pattern, re.IGNORECASE), to) for pattern, to in file.contractions]
        self._phrases = [(re.compile(pattern, re.IGNORECASE), to) for _, pattern, to in file.phrases]
        self._calls: dict[str, list[int]] = {}
        for at, (words, _, _) in enumerate(file.phrases):
            for word in words.split():
                self._calls.setdefault(word, []).append(at)
        self.scales = file.scales
        self._sorts: dict[str, Sort] = {}
        for head, words in file.groups.items():
            self._put("word", dict.fromkeys(words.split(), head))
        self._put("filler", dict.fromkeys(file.fillers.split(), ""))
        self._put("ordinal", {word: str(value) for word, value in file.ordinals.items()})
        for kind, table in (("unit", file.units), ("date", file.dates), ("quantity", file.quantities)):
            for head, words in table.items():
                self._put(kind, dict.fromkeys(words.split(), head))  # type: ignore[arg-type]
        self._put("negation", dict.fromkeys(file.negations.split(), ""))
        self._put("number", {word: str(value) for word, value in file.numbers.items()})
        self._put("scale", dict.fromkeys(file.scales, ""))
        self._put("question", dict(QUESTIONS))
        self.light = frozenset(self.sort(word).value for word in file.light.split())
        self.opposites: dict[str, frozenset[str]] = {}
        for pair in file.opposites:
            one, other = pair.split()
            self.opposites[one] = self.opposites.get(one, frozenset()) | {other}
            self.opposites[other] = self.opposites.get(other, frozenset()) | {one}

    def rewritten(self, text: str) -> str:
        """The text with contractions written out, politeness left out and set phrases as one word."""
        if "'" in text or " u " in text:
            for pattern, to in self._contractions:
                text = pattern.sub(to, text)
        calls = self._calls
        called = {at for word in _LETTERS.findall(text.lower()) if word in calls for at in calls[word]}
        for at in sorted(called):
            pattern, to = self._phrases[at]
            text = pattern.sub(to, text)
        return text

    def _put(self, kind: Kind, table: dict[str, str]) -> None:
        self._sorts.update({word: Sort(kind, value) for word, value in table.items()})

    @functools.lru_cache(maxsize=1 << 15)  # noqa: B019  there is one lexicon
    def sort(self, word: str) -> Sort:
        """What a lower-case word is; one that is not known counts by its stem.

        Examples
        --------
        >>> lexicon().sort("purchased").value == lexicon().sort("buying").value
        True
        """
        for form in _stems(word):
            found = self._sorts.get(form)
            if found is not None:
                return found
        return Sort("word", _bare(word), is_known=False)

    def holds(self, word: str) -> bool:
        return word in self._sorts


@functools.cache
def lexicon() -> Lexicon:
    """The shipped one."""
    text = importlib.resources.files("suffice.caching").joinpath("lexicon.json").read_bytes()
    return Lexicon(msgspec.json.decode(text, type=_File))


_ENDINGS: Final = (
    *(("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("es", "e"), ("s", "")),
    *(("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("ly", ""), ("er", ""), ("est", "")),
)


def _stems(word: str) -> list[str]:
    """The word, and what it may come from, as far as the lexicon may hold it."""
    found = [word, _british(word)]
    for ending, instead in _ENDINGS:
        stem = word[: -len(ending)] + instead
        if word.endswith(ending) and len(stem) >= 3 and not word.endswith("ss"):
            found.append(stem)
            if not instead and len(stem) > 3 and stem[-1] == stem[-2]:
                found.append(stem[:-1])  # stopping, stop
    return found


def _british(word: str) -> str:
    if word.endswith(("isation", "ising", "ised", "ise", "yse", "ysing")) and len(word) > 6:
        return word.replace("isation", "ization").replace("is", "iz").replace("ys", "yz")
    if word.endswith("our") and len(word) > 4:
        return word[:-3] + "or"
    return word


def _bare(word: str) -> str:
    """A rough stem for words that the lexicon does not hold: equal for their usual forms."""
    word = _british(word)
    for ending in ("ies", "ing", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            return word[:-1] if ending in ("ing", "ed") and len(word) > 3 and word[-1] == word[-2] else word
    return word
