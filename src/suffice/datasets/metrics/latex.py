"""Answers in LaTeX: one spelling for the same thing, and the value of what is a number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

_DROPPED: Final = re.compile(
    r"\\(?:left|right|big|Big|bigg|displaystyle|limits|,|!|;|:|>|quad|qquad)(?![A-Za-z])|~"
    r"|\\\$|\$|\\ |\^\{?\\circ\}?|\\degree|\u00b0|\\?%|\s+"
)
_TEXT: Final = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\{([^{}]*)\}")
_UNITS: Final = re.compile(
    r"(?<=[\d}])\s*(?:\\text\{|\\mbox\{|\\mathrm\{)\s*(?:[A-Za-z .]+)(?:\^?\d)?\s*\}(?:\^\{?\d\}?)?$"
)
_PLAIN_UNITS: Final = re.compile(
    r"(?<=\d)\s*(?:square|cubic)?\s*(?:units?|cm|mm|m|km|inch(?:es)?|feet|ft|degrees?|hours?|minutes?|seconds?"
    r"|dollars?|cents?|miles?|mph|percent)(?:\^\{?\d\}?)?\.?$"
)
_REPLACED: Final = {
    "\u2212": "-", "\u00d7": "*", "\u00f7": "/", "\u03c0": "\\pi", "\u221e": "\\infty", "\\cdot": "*",
    "\\times": "*", "\\div": "/", "\\neq": "\\ne", "\\leq": "\\le", "\\geq": "\\ge", "\\lbrace": "\\{",
    "\\rbrace": "\\}", "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac",
    "\u221a": "\\sqrt", "sqrt(": "\\sqrt(",
}  # fmt: skip
_SPELLINGS: Final = re.compile(
    "|".join(
        ("(?<!\\\\)" if old == "sqrt(" else "")
        + re.escape(old)
        + ("(?![A-Za-z])" if old[-1].isalpha() else "")
        for old in _REPLACED
    )
)


def plain(text: str) -> str:
    """One spelling: no blanks, sizes, dollar signs, degree or percent signs, units or text marks.

    Examples
    --------
    >>> plain(r"\\dfrac 12"), plain(r"\\left( 3, \\frac{\\pi}{2} \\right)"), plain(r"10\\text{ cm}")
    ('\\\\frac{1}{2}', '(3,\\\\frac{\\\\pi}{2})', '10')
    """
    text = text.strip().rstrip(".").strip()
    text = _SPELLINGS.sub(lambda match: _REPLACED[match[0]], text)
    text = _UNITS.sub("", text)
    text = _PLAIN_UNITS.sub("", text)
    text = _TEXT.sub(lambda match: match[1].strip(), text)
    text = _braced(text)
    text = _DROPPED.sub("", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))(?![^(\[{]*[)\]}])", "", text)
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    text = re.sub(r"(\.\d*?)0+(?!\d)", lambda match: match[1].rstrip("."), text)
    return text if any(letter in text for letter in "\\{}^") else text.lower()


def _braced(text: str) -> str:
    """`\\frac12`, `\\frac1{2}`, `\\sqrt3`, `x^2`: with all their braces."""
    out = re.sub(r"\\frac\s*([^\s{\\])\s*([^\s{\\])", r"\\frac{\1}{\2}", text)
    out = re.sub(r"\\frac\s*([^\s{\\])\s*\{", r"\\frac{\1}{", out)
    out = re.sub(r"(\\frac\s*\{[^{}]*\})\s*([^\s{\\])", r"\1{\2}", out)
    out = re.sub(r"\\frac\s*\{", r"\\frac{", out)
    out = re.sub(r"\\sqrt\s*([^\s{(\[\\])", r"\\sqrt{\1}", out)
    return re.sub(r"\^\{([A-Za-z0-9])\}", r"^\1", out)


_TOKEN: Final = re.compile(r"\d+\.?\d*|\.\d+|\\[A-Za-z]+|[-+*/^(){}\[\]!]")
_CONSTANTS: Final[Mapping[str, float]] = {"\\pi": math.pi}
_FUNCTIONS: Final[Mapping[str, Callable[[float], float]]] = {
    "\\ln": math.log, "\\sin": math.sin, "\\cos": math.cos, "\\tan": math.tan,
}  # fmt: skip
_MAX_TOKENS: Final = 120


def value(text: str) -> float | None:
    """The number that a `plain` text stands for, or None where it holds anything else.

    Understands + - * / ^, fractions, mixed numbers ("1\\frac{1}{2}"), roots, pi, parentheses and products
    without a sign ("2\\sqrt{3}").

    Examples
    --------
    >>> value("2\\\\sqrt{4}"), value("1\\\\frac{1}{2}"), value("x+1")
    (4.0, 1.5, None)
    """
    tokens = _TOKEN.findall(text)
    if not tokens or len(tokens) > _MAX_TOKENS or "".join(tokens) != text:
        return None
    parser = _Parser(tokens)
    try:
        found = parser.sum()
    except (_NoNumber, ArithmeticError, ValueError, RecursionError):
        return None
    if not parser.is_done or isinstance(found, complex) or not math.isfinite(found):
        return None
    return found


class _NoNumber(Exception):
    """Not an expression of numbers alone."""


class _Parser:
    """Recursive descent over tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def is_done(self) -> bool:
        return self._at == len(self._tokens)

    @property
    def _next(self) -> str:
        return "" if self.is_done else self._tokens[self._at]

    def _take(self, wanted: str | None = None) -> str:
        token = self._next
        if not token or (wanted is not None and token != wanted):
            raise _NoNumber
        self._at += 1
        return token

    def sum(self) -> float:
        total = self._product()
        while self._next in ("+", "-") and self._next:
            total += self._product() if self._take() == "+" else -self._product()
        return total

    def _product(self) -> float:
        if self._next in ("+", "-") and self._next:
            return self._product() if self._take() == "+" else -self._product()
        is_whole = self._next.isdigit()
        total = self._power()
        if is_whole and self._next == "\\frac" and self._is_small_fraction():
            return total + self._power()
        while token := self._next:
            if token in "*/":
                self._take()
                factor = self._signed()
                total = total * factor if token == "*" else total / factor
            elif token in ("(", "\\sqrt", "\\frac", "\\pi"):
                total *= self._power()
            else:
                break
        return total

    def _is_small_fraction(self) -> bool:
        """Whether `\\frac{2}{3}` follows: one whole number over another, as in a mixed number."""
        ahead = self._tokens[self._at + 1 : self._at + 7]
        return len(ahead) == 6 and ahead[0] == "{" and ahead[1].isdigit() and ahead[4].isdigit()

    def _signed(self) -> float:
        if self._next == "-":
            self._take()
            return -self._signed()
        return self._power()

    def _power(self) -> float:
        base = self._atom()
        if self._next == "!":
            self._take()
            if base != int(base) or not 0 <= base <= 100:
                raise _NoNumber
            base = float(math.factorial(int(base)))
        if self._next == "^":
            self._take()
            exponent = self._group() if self._next == "{" else self._signed()
            return float(math.pow(base, exponent))
        return base

    def _group(self) -> float:
        closing = {"{": "}", "(": ")", "[": "]"}.get(self._take())
        if closing is None:
            raise _NoNumber
        found = self.sum()
        self._take(closing)
        return found

    def _atom(self) -> float:
        token = self._next
        if token in ("(", "{") and token:
            return self._group()
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return float(token)
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token == "\\frac":
            return self._group() / self._group()
        if token == "\\sqrt":
            degree = self._group() if self._next == "[" else 2.0
            return math.pow(self._group(), 1 / degree)
        if token in _FUNCTIONS:
            return _FUNCTIONS[token](self._atom())
        raise _NoNumber
