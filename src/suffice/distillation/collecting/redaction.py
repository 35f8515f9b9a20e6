"""Personal data out of texts, before they are written anywhere.

Patterns find what has a form of its own: addresses of e-mail, IBANs, card and telephone numbers, IP
addresses, social security numbers, keys. Names and street addresses have none: they stay, and the data card
says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from suffice.distillation.flywheel.rows import Row

_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "KEY": re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{16,}\b"),
    "EMAIL": re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+\b"),
    "IBAN": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "CARD": re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])"),
    "SSN": re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
    "IP": re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"),
    "PHONE": re.compile(
        r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?(?:\d{2,4}[ .-]?){2,4}\d{2,4}"
        r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w.]\d|\d)"
    ),
}
KINDS: Final = tuple(_PATTERNS)


class Redactor:
    """Puts `[EMAIL_1]` where an address stood; within a row the same value gets the same mark."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Values taken out, by kind; of each row a value counts once."""

    def row(self, row: Row) -> Row:
        """The row without what was found in its query, messages, reference, answers and label."""
        marks: dict[tuple[str, str], str] = {}
        samples = tuple(
            msgspec.structs.replace(
                sample,
                text=self._text(sample.text, marks),
                reasoning=None if sample.reasoning is None else self._text(sample.reasoning, marks),
                logprobs=sample.logprobs if self._text(sample.text, marks) == sample.text else None,
            )
            for sample in row.samples
        )
        return msgspec.structs.replace(
            row,
            query=self._text(row.query, marks),
            messages=tuple(self._value(message, marks) for message in row.messages),
            reference=None if row.reference is None else self._text(row.reference, marks),
            label=None if row.label is None else self._text(row.label, marks),
            samples=samples,
        )

    def _value(self, value: Any, marks: dict[tuple[str, str], str]) -> Any:
        if isinstance(value, str):
            return self._text(value, marks)
        if isinstance(value, Mapping):
            return {key: self._value(one, marks) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(one, marks) for one in value]
        return value

    def _text(self, text: str, marks: dict[tuple[str, str], str]) -> str:
        for kind, pattern in _PATTERNS.items():
            text = pattern.sub(lambda match, kind=kind: self._mark(kind, match[0], marks), text)  # type: ignore[misc]
        return text

    def _mark(self, kind: str, value: str, marks: dict[tuple[str, str], str]) -> str:
        if kind == "CARD" and not _is_card(value):
            return value
        known = marks.get((kind, value))
        if known is None:
            self.counts[kind] += 1
            number = sum(one == kind for one, _ in marks) + 1
            known = marks[kind, value] = f"[{kind}_{number}]"
        return known


def _is_card(text: str) -> bool:
    """Luhn's check: other long numbers are no cards."""
    digits = [int(char) for char in text if char.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
