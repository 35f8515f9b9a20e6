"""The confidence that the model states in words.

Needs: text only. Costs: some ten tokens where it is asked for in the same reply, one call where it is asked
for afterwards (two with "why might this be wrong?" first). Models overstate it: calibrate before use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from suffice.confidence.base import Reading, Signal, Unavailable, clipped, share

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
)
_WORDS = {word: i for i, word in enumerate([*_ONES.split(), "seventeen", "eighteen", "nineteen"])}
_ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * i for i, word in enumerate(_ROUND.split(), start=2)}
_HAN = {numeral: str(i) for i, numeral in enumerate("零一二三四五六七八九十")}

_SPELT = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[\s-]+({'|'.join(list(_WORDS)[1:10])}))?"
    rf"|((?:one |a )?hundred)|({'|'.join(_WORDS)}))\b"
)
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_START = re.compile(rf"(?<![\w./-]){_NUMBER}(?!\w)")
_RANGE = re.compile(rf"{_NUMBER}\s*%?\s*(?:-|–|—|to|and|or)\s*{_NUMBER}(?!\w)")
_PERCENT = re.compile(r"\s*(?:%|percent\b|per cent\b|pct\b)")
_OUT_OF = re.compile(r"\W{0,4}(?:/|out of|of)\s*(\d+)\b(?!/)")
_WHOLES = (1, 2, 3, 4, 5, 10, 20, 100)
"""What people count out of; "12/31" is no confidence."""
_NAMED = re.compile(
    r"(?:confiden\w*|probability|certain\w*|score|rating|likelihood|sure)\W*(?:[^\W\d]+\W+){0,4}?(?=[\d.])"
)

_GUESS = re.compile(
    r"^\W*(?:g|guess|answer)\s*(\d+)\W*?[:.)]\s*(.*?)(?:\s*[,;(]?\s*\b(?:p|prob(?:ability)?|confidence)\s*\d*\s*[:=]\s*(.+))?$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^\W*\d+[.)]\s+")
_MAX_REPLY, _MAX_LINE = 4_000, 400
"""Characters that are read, of a reply and of a line: patterns with two open ends take quadratic time."""

_PROBABILITY = re.compile(r"^\W*(?:p|prob(?:ability)?|confidence)\s*(\d+)\W*?[:.)=]\s*(.+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Guess:
    """One of k guesses, with the probability stated for it."""

    text: str
    probability: float


def score(reply: str, *, scale: float = 10) -> Reading:
    """Value and confidence: the number that the reply states, as a share of its scale.

    Parameters
    ----------
    reply : the reply, or its part after the answer
    scale : what a bare number stands out of; 10 after "how sure are you, 1 to 10?", 100 after "in percent?"

    References
    ----------
    Tian et al. (2023), Just Ask for Calibration; Xiong et al. (2024), Can LLMs Express Their
    Uncertainty?, section 3.

    Examples
    --------
    >>> float(score("It might be 1968. Confidence: 7")), score("No idea.")
    (0.7, Unavailable(reason='no number in the reply'))
    """
    number = parse(reply, scale=scale)
    return Unavailable("no number in the reply") if number is None else share(number)


def parse(reply: str, *, scale: float = 10) -> float | None:
    """The stated confidence in [0, 1]; None where there is no number, or only numbers that no scale allows.

    Looked for in this order, the last of its kind counting: a number after a word such as "confidence";
    "8/10", "8 out of 10" or "80%"; a number that the reply starts with; any other number. A range counts by
    its middle, save one that only names the scale. A bare number with a decimal point and at most 1 is a
    probability; above the scale and at most 100 it is a percentage. Digits of every script count; English
    number words count where there are no digits. The last 4,000 characters are read.

    Examples
    --------
    >>> [parse(text) for text in ("8/10", "80%", "0.8", "eight", "between 7 and 8", "٨", "high")]
    [0.8, 0.8, 0.8, 0.8, 0.75, 0.8, None]
    """
    text = _plain(reply[-_MAX_REPLY:])
    found = _numbers(text, scale)
    named = {match.end() for match in _NAMED.finditer(text)}
    for counts in (
        [number for number in found if number.start in named],
        [number for number in found if number.is_explicit],
        [number for number in found if not re.search(r"\w", text[: number.start])],
        found,
    ):
        if counts:
            return counts[-1].share
    return None


def guesses(reply: str, *, scale: float = 1) -> tuple[Guess, ...]:
    """The guesses of a top-k reply, as stated; those without a probability are left out.

    One a line, "Paris | 80", or as Tian et al. ask for them, "G1: Paris", "P1: 0.8".

    Parameters
    ----------
    scale : what a bare number stands out of; 100 after "in percent"

    Examples
    --------
    >>> guesses("G1: Paris\\nP1: 0.8\\nG2: Lyon, P2: 15%")
    (Guess(text='Paris', probability=0.8), Guess(text='Lyon', probability=0.15))
    """
    texts: dict[int, str] = {}
    stated: dict[int, float | None] = {}
    for place, whole in enumerate(reply[:_MAX_REPLY].splitlines()):
        line = whole[:_MAX_LINE].strip(" |")
        guess, bar, probability = line.rpartition("|")
        if bar and guess:
            texts[-place], stated[-place] = _NUMBERED.sub("", guess).strip(), parse(probability, scale=scale)
        elif found := _PROBABILITY.match(line):
            stated[int(found[1])] = parse(found[2], scale=scale)
        elif found := _GUESS.match(line):
            texts[int(found[1])] = found[2].strip()
            if found[3]:
                stated[int(found[1])] = parse(found[3], scale=scale)
    pairs = [(text, stated.get(number)) for number, text in texts.items() if text]
    return tuple(Guess(text, probability) for text, probability in pairs if probability is not None)


def top_k(guessed: Sequence[Guess]) -> Reading:
    """Value: the probability stated for the likeliest guess; confidence: over the sum where that exceeds 1.

    References
    ----------
    Tian et al. (2023), Just Ask for Calibration (verbalised 1S top-k).

    Examples
    --------
    >>> top_k(guesses("G1: Paris\\nP1: 0.9\\nG2: Lyon\\nP2: 0.6")).confidence
    0.6
    """
    if not guessed:
        return Unavailable("no guess with a probability in the reply")
    best = max(guess.probability for guess in guessed)
    return Signal(best, clipped(best / max(1.0, sum(guess.probability for guess in guessed))))


def _plain(reply: str) -> str:
    """Lower case, ASCII digits, decimal points, and number words as digits where there are no digits."""
    text = (
        unicodedata.normalize("NFKC", " ".join(reply.split()))
        .casefold()
        .translate({0x066A: "%", 0x066B: ".", 0x066C: ""})
    )
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)  # 1,000
    text = re.sub(r"(?<=\d),(?=\d{1,2}\b)", ".", text)  # 0,8
    if re.search(r"\d", text):
        return text
    if text.strip(" .。分\n") in _HAN:
        return _HAN[text.strip(" .。分\n")].replace("十", "10")
    return _SPELT.sub(_digits, text)


def _digits(found: re.Match[str]) -> str:
    tens, ones, hundred, word = found.groups()
    if hundred:
        return "100"
    if tens:
        return str(_TENS[tens] + (_WORDS[ones] if ones else 0))
    # "one" is mostly a pronoun
    after, alone = found.string[found.end() :], found.string.strip(" .!\n") == word
    counts = word != "one" or alone or re.match(r"\s*(?:out of|percent|%)", after)
    return str(_WORDS[word]) if counts else word


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    share: float
    is_explicit: bool
    """It says what it is out of."""


def _numbers(text: str, scale: float) -> list[_Found]:
    """Every number or range in the text that is a share of something."""
    found, place = list[_Found](), 0
    while first := _START.search(text, place):
        pair = _RANGE.match(text, first.start())
        ends = list(pair.groups()) if pair and float(pair[1]) < float(pair[2]) else [first[1]]
        place = pair.end() if pair and len(ends) == 2 else first.end()
        if len(ends) == 2 and ends[0] in ("0", "1") and float(ends[1]) in (scale, 10, 100):
            continue  # "on a scale of 1 to 10"
        whole = _whole(text, place, scale)
        shares = [_scaled(end, scale) if whole is None else _share(end, whole) for end in ends]
        known = [share for share in shares if share is not None]
        if len(known) == len(ends):
            found.append(_Found(first.start(), sum(known) / len(known), whole is not None))
    return found


def _whole(text: str, place: int, scale: float) -> float | None:
    """What the number that ends here says it is out of."""
    if _PERCENT.match(text, place):
        return 100
    out_of = _OUT_OF.match(text, place)
    return float(out_of[1]) if out_of and int(out_of[1]) in (*_WHOLES, scale) else None


def _scaled(number: str, scale: float) -> float | None:
    value = float(number)
    if value <= 1 and ("." in number or scale == 1):
        return value
    return _share(number, scale if value <= scale else 100)


def _share(number: str, whole: float) -> float | None:
    value = float(number) / whole
    return value if value <= 1 else None
