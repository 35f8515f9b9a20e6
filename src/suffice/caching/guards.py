"""What two texts must not differ in if one answer is to serve both.

Each guard is one way in which nearly the same words ask for something else. Any one forbids to serve the kept
answer, however near the vectors are; an embedder hardly sees a changed number or a "not".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from suffice.caching.lexicon import lexicon
from suffice.caching.reading import Reading


def numbers(a: Reading, b: Reading) -> bool:
    """Other numbers, in digits of any script or in words, or other signs of arithmetic."""
    return a.numbers != b.numbers


def negation(a: Reading, b: Reading) -> bool:
    """One says "not", "without", "except", ... once more than the other."""
    return a.negations != b.negations


def names(a: Reading, b: Reading) -> bool:
    """A name (a capital within a sentence) or quoted word that the other text does not have."""
    if not (a.names <= b.words and b.names <= a.words):
        return True
    return not (a.quoted <= b.spelt | b.quoted and b.quoted <= a.spelt | a.quoted)


def units(a: Reading, b: Reading) -> bool:
    """Kilometres for miles, days for hours; or the same units behind other numbers."""
    return a.units != b.units or a.measures != b.measures


def dates(a: Reading, b: Reading) -> bool:
    """Another month, weekday, season or time of day."""
    return a.dates != b.dates


def quantities(a: Reading, b: Reading) -> bool:
    """All for some, only, both, twice."""
    return a.quantities != b.quantities


def direction(a: Reading, b: Reading) -> bool:
    """The opposite: smallest for largest, sell for buy, before for after."""
    opposites = lexicon().opposites
    only_b = b.words - a.words
    return any(not opposites.get(word, _NONE).isdisjoint(only_b) for word in a.words - b.words)


def question(a: Reading, b: Reading) -> bool:
    """When for where, why for anything else, how for how many; "should" for "can" in a yes-or-no question.

    What is measured (how many, how much, how long) is told apart by the words that are measured.
    """
    one, other = a.questions - b.questions, b.questions - a.questions
    if "why" in one | other or (a.asked in one & _PLACED) or (b.asked in other & _PLACED):
        return True
    if one and other and not one | other <= _MEASURES:
        return True
    if "whether" in (a.asked, b.asked) and a.asked != b.asked:
        return bool(a.asked and b.asked)
    return a.asked == "whether" and bool(a.modals and b.modals) and a.modals.isdisjoint(b.modals)


def tense(a: Reading, b: Reading) -> bool:
    """What was for what will be."""
    return bool(a.tense and b.tense) and a.tense != b.tense


def roles(a: Reading, b: Reading) -> bool:
    """The same words with two of them in each other's place: from Rome to Oslo, from Oslo to Rome."""
    if len(a.numbers) > 1 and a.order != b.order and not _ONE_WAY.isdisjoint(a.words & b.words):
        return True  # 5 minus 3 and 3 minus 5, subtract 3 from 5: who can tell by the words
    shared = [word for word in a.befores if word in b.befores]
    moved = {(a.befores[word], b.befores[word]) for word in shared if a.befores[word] != b.befores[word]}
    return any((after, before) in moved or {before, after} == _WAYS for before, after in moved)


def substance(a: Reading, b: Reading) -> bool:
    """Nothing in common that says what they are about: neither a word nor a number."""
    return a.words.isdisjoint(b.words) and not (a.numbers and b.numbers)


_MEASURES: Final = frozenset(("howmany", "howmuch", "howlong"))
_WAYS: Final = frozenset(("from", "to"))
_PLACED: Final = frozenset(("who", "when", "where"))
_ONE_WAY: Final = frozenset(("remove", "split"))
_NONE: Final[frozenset[str]] = frozenset()

GUARDS: Final[dict[str, Callable[[Reading, Reading], bool]]] = {
    "numbers": numbers,
    "negation": negation,
    "names": names,
    "units": units,
    "dates": dates,
    "quantities": quantities,
    "direction": direction,
    "question": question,
    "tense": tense,
    "roles": roles,
    "substance": substance,
}


def raised(a: Reading, b: Reading) -> tuple[str, ...]:
    """The names of the guards that forbid to serve one's answer to the other; the order of a and b is free.

    Examples
    --------
    >>> from suffice.caching.reading import read
    >>> raised(read("How do I buy 3 tickets?"), read("How do I sell three tickets?"))
    ('direction',)
    """
    return tuple(name for name, differs in GUARDS.items() if differs(a, b))
