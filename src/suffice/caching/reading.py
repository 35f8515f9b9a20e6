"""A text taken apart into what must not differ (numbers, names, negations ...) and what may.

What must not differ is found by form where the language leaves it open: digits of all scripts, capitals
within a sentence, every sign by itself in scripts without spaces.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from suffice.caching.lexicon import Lexicon, lexicon

MAX_CHARACTERS: Final = 2_000
"""A longer text is never compared: two long prompts that look alike differ where nobody looks."""

_PUNCTUATION: Final = r"\s!-,./:-@\[-`{-~“”‘’«»„…、。，？！：；（）「」『』《》¿¡·।؟،؛–—"
_TOKEN: Final = re.compile(
    rf"(?<![\w)])-(?=\d)|\d+(?:[.,]\d+)*(?:(?:st|nd|rd|th)\b)?|[$€£¥%°+*/=<>^×÷]|°[CF]\b|[^\d{_PUNCTUATION}]+",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile('["“„«「`]([^"“”„«»「」`]{1,200})["”“»」`]')
_SPACELESS: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
_SENTENCE_END: Final = frozenset('.?!:;\n。？！¿¡•-"“(')
_ROLES: Final = {
    **dict.fromkeys(("to", "into", "for", "towards", "onto", "arrive"), "to"),
    **dict.fromkeys(("from", "leave", "leaving", "depart"), "from"),
}
"""Small words, and verbs, that say the same of what follows."""
_AUXILIARY: Final = frozenset(
    (
        *("is", "are", "was", "were", "am", "do", "does", "did", "can", "could", "will", "would", "should"),
        *("shall", "may", "might", "must", "has", "have", "had", "whether"),
    )
)
_PAST: Final = frozenset(("was", "were", "did", "had"))
_COUNTED: Final = ("number", "ordinal", "scale")
_MODAL: Final = {
    **dict.fromkeys(("should", "ought", "must", "need", "needs", "advisable"), "should"),
    **dict.fromkeys(("can", "could", "may", "might", "possible", "able", "allowed", "permitted"), "can"),
}
_SECONDS: Final = frozenset(("a", "per", "every", "each"))
"""Before "second" they make it a unit; after a number it stands as "seconds"."""
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LISTED: Final = frozenset(
    ("and", "or", "&", "vs", "versus", "und", "oder", "et", "ou", "y", "o", "e", "и", "和", "与")
)
_NO_CONTEXT: Final = frozenset(("a", "an", "the", "-"))


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a text holds. Words are in the spelling that stands for all that say the same."""

    words: frozenset[str]
    """What it is about: no filler, and nothing of what follows but names."""
    unknown: frozenset[str]
    """Of these, the words that the lexicon does not hold."""
    numbers: tuple[str, ...]
    """Ascending as text."""
    names: frozenset[str]
    quoted: frozenset[str]
    """Words between quotation marks, lower-case: they are meant as they are spelt."""
    spelt: frozenset[str]
    """All words in lower case, as they are spelt."""
    negations: int
    units: frozenset[str]
    dates: frozenset[str]
    quantities: frozenset[str]
    questions: frozenset[str]
    """Of who, when, where, why, how, howmany, ..., whether; what and which tell nothing and are left out."""
    asked: str
    """The question that the text begins with (elsewhere "when" may be no question); else empty."""
    modals: frozenset[str]
    tense: str
    """"future", "past" or ""."""
    measures: frozenset[tuple[str, str]]
    """Numbers with the unit that follows."""
    befores: dict[str, str]
    """Word, number or unit, where it stands once: what stands before it."""
    order: tuple[str, ...]
    """Words and numbers as they come."""

    def gist(self) -> int:
        """Equal for texts that hold the same but for light words, however they put it; of this process."""
        return hash((self.words - lexicon().light, self.marks()))

    def marks(self) -> int:
        """Equal wherever the guards of numbers, negation, units and dates find nothing; of this process."""
        return hash((self.numbers, self.negations, self.units, self.measures, self.dates))


class _Token(NamedTuple):
    text: str
    lower: str
    is_name: bool


@functools.lru_cache(maxsize=4_096)
def read(text: str) -> Reading:
    """Take a text apart; of one longer than `MAX_CHARACTERS` only the beginning is read.

    Examples
    --------
    >>> reading = read("How many of the twenty-one bridges in Rome aren't older than 1,500 years?")
    >>> reading.numbers, sorted(reading.names), reading.negations, sorted(reading.units)
    (('1500', '21'), ['rom'], 1, ['year'])
    """
    known = lexicon()
    plain = _folded(text[:MAX_CHARACTERS])
    quoted = frozenset(" ".join(_QUOTED.findall(plain)).casefold().split())
    plain = known.rewritten(plain)
    return _gathered(list(_tokens(plain, known)), quoted, known)


def _folded(text: str) -> str:
    """One spelling of accents, widths, apostrophes and digits."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)


def _tokens(text: str, known: Lexicon) -> Iterator[_Token]:
    shouts = text.isupper() or text.istitle()
    is_ascii = text.isascii()
    for match in _TOKEN.finditer(text):
        token = match.group()
        if not is_ascii and _SPACELESS.search(token):
            yield from (_Token(sign, sign, False) for sign in token)
            continue
        lower = token.casefold()
        is_capital = token[0].isupper() and not shouts and token != "I"
        is_name = is_capital and (not _begins(text, match.start()) or token[1:] != lower[1:])
        if "-" in lower and not known.holds(lower):
            yield from (
                _Token(part, part.casefold(), is_name and part[0].isupper())
                for part in token.split("-")
                if part
            )
        else:
            yield _Token(token, lower, is_name)


def _begins(text: str, at: int) -> bool:
    """Whether a sentence begins here, where a capital says nothing."""
    before = text[:at].rstrip()
    return not before or before[-1] in _SENTENCE_END


def _gathered(tokens: list[_Token], quoted: frozenset[str], known: Lexicon) -> Reading:
    words: set[str] = set()
    unknown: set[str] = set()
    names: set[str] = set()
    by_kind: dict[str, set[str]] = {"unit": set(), "date": set(), "quantity": set(), "question": set()}
    numbers: list[str] = []
    measures: set[tuple[str, str]] = set()
    order: list[tuple[str, str]] = []
    negations, before, i = 0, "", 0
    while i < len(tokens):
        token = tokens[i]
        kind, value, is_known = known.sort(token.lower)
        if kind in _COUNTED or token.lower[0].isdecimal() or token.lower == "-":
            number, n_taken = _number(tokens, i, known)
            if n_taken:
                numbers.append(number)
                order.append((number, before))
                before, i = number, i + n_taken
                continue
        i += 1
        if kind == "word" or (token.is_name and kind == "filler"):
            value = value or token.lower
            words.add(value)
            order.append((value, before))
            if not is_known:
                unknown.add(value)
            if token.is_name:
                names.add(value)
        elif kind == "negation":
            negations += 1
        elif kind in by_kind and value != "what":
            by_kind[kind].add(value)
            if kind != "question":
                order.append((value, before))
            if kind == "unit" and numbers and before == numbers[-1]:
                measures.add((before, value))
        if token.lower not in _NO_CONTEXT:
            before = _ROLES.get(value or token.lower, value or token.lower)
    asked = _asked(tokens, known)
    if asked == "whether":
        by_kind["question"].add(asked)
    lowers = {token.lower for token in tokens}
    tense = "future" if "will" in lowers or "shall" in lowers else "past" if lowers & _PAST else ""
    return Reading(
        words=frozenset(words),
        unknown=frozenset(unknown),
        numbers=tuple(sorted(numbers)),
        names=frozenset(names),
        quoted=quoted,
        spelt=frozenset(lowers),
        negations=negations,
        units=frozenset(by_kind["unit"]),
        dates=frozenset(by_kind["date"]),
        quantities=frozenset(by_kind["quantity"]),
        questions=frozenset(by_kind["question"]),
        asked=asked,
        modals=frozenset(_MODAL[word] for word in lowers if word in _MODAL),
        tense=tense,
        measures=frozenset(measures),
        befores=_contexts(order),
        order=tuple(word for word, _ in order),
    )


def _asked(tokens: list[_Token], known: Lexicon) -> str:
    if tokens and tokens[0].lower in _AUXILIARY:
        return "whether"
    sorts = [known.sort(token.lower) for token in tokens[:2]]
    return next((sort.value for sort in sorts if sort.kind == "question"), "")


def _contexts(order: list[tuple[str, str]]) -> dict[str, str]:
    """What stands before each word that stands once, members of a list left out: their order is free."""
    counts: dict[str, int] = {}
    for word, _ in order:
        counts[word] = counts.get(word, 0) + 1
    return {word: before for word, before in order if counts[word] == 1 and before not in _LISTED}


def _number(tokens: list[_Token], i: int, known: Lexicon) -> tuple[str, int]:
    """The number that begins at a token, and how many tokens it takes; 0 where none begins."""
    start, sign, lower = i, "", tokens[i].lower
    if lower == "-" and i + 1 < len(tokens) and tokens[i + 1].lower[0].isdecimal():
        i, sign, lower = i + 1, "-", tokens[i + 1].lower
    if lower[0].isdecimal():
        value, i = _digits(lower), i + 1
        if value is None:
            return lower, i - start
    elif known.sort(lower).kind == "scale":
        value = 1.0
    else:
        found = _in_words(lower, known)
        if found is None or (lower == "second" and i and tokens[i - 1].lower in _SECONDS):
            return "", 0
        value, i = found, i + 1
        digit = _in_words(tokens[i].lower, known) if i < len(tokens) else None
        if tokens[i : i + 1] and tokens[i].lower == "one":
            digit = 1.0
        if digit is not None and digit < 10 and value >= 20 and value % 10 == 0:
            value, i = value + digit, i + 1
    while i < len(tokens) and tokens[i].lower in known.scales:
        value, i = value * known.scales[tokens[i].lower], i + 1
    return f"{sign}{value:.12g}", i - start


def _in_words(word: str, known: Lexicon) -> float | None:
    kind, text, _ = known.sort(word)
    return float(text) if kind in ("number", "ordinal") else None


def _digits(token: str) -> float | None:
    """None where several points make a version, an address or a date."""
    token = token.rstrip("stndrh")
    if _THOUSANDS.fullmatch(token):
        token = token.replace(",", "")
    token = token.replace(",", ".")
    return float(token) if token.count(".") < 2 else None
