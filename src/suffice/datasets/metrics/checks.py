"""The recorded panel's checks as metrics."""

from __future__ import annotations

from suffice.datasets.grading import grade


class _Check:
    check: str

    def score(self, response: str, reference: str) -> float:
        return grade(self.check, response, reference)


class Number(_Check):
    """The answer's number, 1e-6 relative."""

    check = "number"


class Contains(_Check):
    """`a|b`: any of them as whole words; `a&b`: all."""

    check = "contains"


class Label(_Check):
    """`label//rival,rival`: the label and no rival."""

    check = "label"


class Json(_Check):
    """The first JSON value of the response equals the reference."""

    check = "json"


class Regex(_Check):
    """The whole answer matches."""

    check = "regex"


class Exact(_Check):
    """Equal but for case, punctuation, articles and blanks."""

    check = "exact"


class Verbatim(_Check):
    """Equal to the letter, but for quotes and blanks around it."""

    check = "verbatim"


class Words(_Check):
    """Exactly that many words."""

    check = "words"


class Python(_Check):
    """The function passes the reference's assertions, within tighter limits than `code`."""

    check = "python"
