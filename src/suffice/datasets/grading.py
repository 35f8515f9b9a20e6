"""Grade a model's response against a reference: one named check per kind of answer.

A check reads the response, never a judge model, so that a grade can be recomputed anywhere. Responses
are untrusted text: the only check that runs any of it does so in a bare, resource-limited subprocess.
"""

import json
import math
import re
import string
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType

from suffice.datasets.sandbox import ANSWER, FENCE, python_source, run_python

__all__ = ["CHECKS", "answered_number", "extract_answer", "grade", "normalised_text"]

_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(?P<sign>[-+\u2212])?[$\u20ac\u00a3\u00a5]?\s?(?P<minus>[-\u2212])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE](?P<exponent>[-+]?\d{1,3})(?![\w.]))?"
    r"(?:\s?/\s?(?P<denominator>\d+)(?![\d.]))?"
)
_EMPHASIS = re.compile(r"(?<![\w*])\*\*(?=\S)(.+?)(?<=\S)\*\*(?![\w*])", re.DOTALL)
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_MAX_RESPONSE_CHARS = 20_000
_MAX_NUMBER_CHARS = 2_000


def extract_answer(response: str) -> str:
    """Text after the last "Answer:", or the whole response; Markdown emphasis and blanks stripped.

    Examples
    --------
    >>> extract_answer("6 * 7 is 42.\\n**Answer:** 42")
    '42'
    """
    marks = list(ANSWER.finditer(response))
    text = response[marks[-1].end() :] if marks else response
    if marks and not text.strip(" \t\n*_`"):
        # The mark ended the response (often: cut by the token limit), so nothing was answered.
        return ""
    text = _EMPHASIS.sub(r"\1", text.strip())
    # What is left of an emphasis that was opened before "Answer:" and closes after it.
    return re.sub(r"^\*\*\s*|(?<!\*)\*\*$", "", text).strip() if text.count("**") == 1 else text


def grade(check: str, response: str, reference: str) -> float:
    """1.0 when `response` passes the named check against `reference`, else 0.0.

    Raises
    ------
    ValueError
        If the check is none of `CHECKS`.

    Examples
    --------
    >>> grade("number", "The answer is 1,200 USD.", "1200")
    1.0
    """
    if check not in CHECKS:
        raise ValueError(f"check {check!r} is none of {', '.join(sorted(CHECKS))}")
    return float(CHECKS[check](response, reference))


def _unfenced(text: str) -> str:
    """Content of the first code fence, else the text itself."""
    fence = FENCE.search(text)
    return (fence.group(1) if fence else text).strip()


def _unquoted(text: str) -> str:
    return text.strip().strip(_QUOTES).strip()


def _value(match: re.Match[str]) -> float:
    if len(match[0]) > _MAX_NUMBER_CHARS:
        return math.nan
    negative = bool((match["sign"] or "").strip() in ("-", "\u2212")) != bool(match["minus"])
    number = Fraction(match["digits"].replace(",", "")) * Fraction(10) ** int(match["exponent"] or 0)
    if match["denominator"]:
        denominator = int(match["denominator"])
        number = number / denominator if denominator else Fraction(0)
        if not denominator:
            return math.nan
    try:
        return float(-number if negative else number)
    except OverflowError:
        return math.inf


def answered_number(response: str) -> float | None:
    """Last number of the answer, or the first when the answer starts with one; None without any.

    Examples
    --------
    >>> answered_number("12 + 5 = 17")
    17.0
    >>> answered_number("12 apples (2 boxes of 6)")
    12.0
    """
    answer = _unquoted(extract_answer(_plain_math(response)))
    found = list(_NUMBER.finditer(answer))
    if not found:
        return None
    # "12 apples (2 boxes of 6)" answers first; "12 + 5 = 17", "12 plus 5 is 17" and the steps
    # "1. ... 2. ..." answer last.
    derives = re.match(r"1[.)]\s|.*(?:=|\b(?:is|are|equals?)\b)", answer)
    value = _value(found[0] if found[0].start() == 0 and not derives else found[-1])
    return value if math.isfinite(value) else None


def _number(response: str, reference: str) -> bool:
    """The answer's number equals the reference's; 1e-6 relative."""
    wanted = _NUMBER.search(reference)
    if wanted is None:
        raise ValueError(f"reference {reference!r} holds no number")
    value = answered_number(response)
    return value is not None and math.isclose(value, _value(wanted), rel_tol=1e-6, abs_tol=1e-9)


def _plain_math(text: str) -> str:
    """LaTeX as small models write it, reduced to plain text."""
    text = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    text = re.sub(r"\\(?:boxed|text|mathrm|textbf)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\[()\[\]]|\\(?=[$%])|\$(?!\s?-?[\d.])", "", text)


def _choice(response: str, reference: str) -> bool:
    """A single letter A-E: "B", "(b)", "B) ...", "the answer is B"."""
    answer = _unquoted(extract_answer(response))
    lead = re.match(r"[(\[]?([A-Ea-e])(?:[)\].:,]|\s*$|\s+[-\u2013])", answer)
    if lead:
        return lead[1].upper() == reference.strip().upper()
    # A lone "A" inside a sentence may be the article; as a letter it is marked or ends the sentence.
    letters = re.findall(r"(?<![\w'])(?:([B-E])(?![\w'])|\(([A-E])\)|(A)(?=[).:]|\s*$))", answer)
    found = {letter for group in letters for letter in group if letter}
    return found == {reference.strip().upper()}


def normalised_text(text: str) -> str:
    """Without case, punctuation, quotes around it and articles; blanks single."""
    text = _unquoted(text).casefold()
    kept = "".join(" " if c in string.punctuation or c in _QUOTES else c for c in text)
    return " ".join(word for word in kept.split() if word not in ("a", "an", "the")) or " ".join(text.split())


def _exact(response: str, reference: str) -> bool:
    """Equal but for case, punctuation, articles and whitespace."""
    answer = normalised_text(_unfenced(extract_answer(response)))
    return bool(answer) and answer == normalised_text(reference)


def _verbatim(response: str, reference: str) -> bool:
    """Equal to the letter; only surrounding blanks, quotes, backticks and a fence are taken off."""
    return _unquoted(_unfenced(extract_answer(response))) == _unquoted(reference)


def _appears(term: str, text: str) -> bool:
    pattern = r"\s+".join(re.escape(word) for word in term.split())
    return bool(pattern) and bool(re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE))


def _contains(response: str, reference: str) -> bool:
    """`a|b`: any alternative as whole words; `a&b`: all of them; `a|b&c`: (a or b) and c."""
    answer = extract_answer(response)
    return all(any(_appears(term, answer) for term in part.split("|")) for part in reference.split("&"))


def _label(response: str, reference: str) -> bool:
    """`label//rival,rival`: the label appears as a whole word and no rival does."""
    label, _, rivals = reference.casefold().partition("//")
    label = label.strip()
    labels = {label, *(rival.strip() for rival in rivals.split(","))} - {""}
    # Longest first, so that "not spam" is read as one label and not as "spam".
    either = "|".join(re.escape(one) for one in sorted(labels, key=len, reverse=True))
    answer = extract_answer(response).casefold()
    return set(re.findall(rf"(?<!\w)(?:{either})(?!\w)", answer)) == {label}


def _same_json(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same_json, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same_json(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def _json(response: str, reference: str) -> bool:
    """First JSON object or array of the response equals the reference; 1 and 1.0 are equal."""
    decoder = json.JSONDecoder()
    for start in re.finditer(r"[{\[]", response[:_MAX_RESPONSE_CHARS]):
        try:
            value, _ = decoder.raw_decode(response, start.start())
        except (ValueError, RecursionError):
            continue
        return _same_json(value, json.loads(reference))
    return False


def _regex(response: str, reference: str) -> bool:
    return re.fullmatch(reference, extract_answer(response)) is not None


def _words(response: str, reference: str) -> bool:
    """The answer has exactly N words; lone punctuation is no word."""
    words = [word for word in extract_answer(response).split() if any(c.isalnum() for c in word)]
    return len(words) == int(reference)


def _python(response: str, reference: str) -> bool:
    """The response's function passes the reference's assert statements in a bare subprocess."""
    return run_python(python_source(response[:_MAX_RESPONSE_CHARS]), reference)


CHECKS: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "number": _number,
        "choice": _choice,
        "exact": _exact,
        "verbatim": _verbatim,
        "contains": _contains,
        "label": _label,
        "json": _json,
        "regex": _regex,
        "words": _words,
        "python": _python,
    }
)
"""Check name -> function of a response and a reference that says whether the response is right."""
