"""MATH: the boxed answer, equal in form or in value."""

from __future__ import annotations

import math
import re
from typing import Final

from suffice.datasets.metrics.latex import plain, value

_SAID: Final = re.compile(r"\banswer\b[^\n.:]*?(?:\bis\b|[:=])[\s*_`]*([^\n]+)", re.IGNORECASE)
_DISPLAYED: Final = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_BASE: Final = re.compile(r"(?<=\d)_\{?\w{1,2}\}?$")
"""The base of a number, `_3` or `_{10}`: often left out."""
_MAX_CHARS: Final = 20_000
_LONGEST: Final = 400
"""Of an answer; what is longer is a derivation."""


def final_answer(response: str) -> str:
    """What is in the last `\\boxed{}`, else what stands after "answer is", else the last formula or line.

    Examples
    --------
    >>> final_answer(r"so $x = \\boxed{\\frac{3}{4}}$.")
    '\\\\frac{3}{4}'
    """
    text = response[-_MAX_CHARS:]
    boxed = _last_boxed(text)
    if boxed is not None:
        return boxed
    said = _SAID.findall(text)
    tail = said[-1] if said else next((line for line in reversed(text.splitlines()) if line.strip()), "")
    formulas = _DISPLAYED.findall(tail)
    if formulas:
        return str(next(filter(None, formulas[-1])))
    return str(tail).strip().strip("*_`").rstrip(".").strip()


def _last_boxed(text: str) -> str | None:
    """The balanced content of the last `\\boxed{...}` or `\\fbox{...}`; `\\boxed 5` is "5"."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    rest = text[start:].removeprefix("\\boxed").removeprefix("\\fbox").lstrip()
    if not rest.startswith("{"):
        return rest.split("$")[0].split("\n")[0].strip().rstrip(".") if rest else ""
    depth = 0
    for at, letter in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return rest[1:at]
    return rest[1:]


def same_answer(said: str, wanted: str) -> bool:
    """Whether two answers are the same: as normalised text, in value, or part by part.

    Parts are those of a tuple, interval or set; the order matters but for sets and bare lists. An equation
    with one name on its left ("x = 5") stands for its right side where the other has none.

    Examples
    --------
    >>> same_answer("0.5", r"\\frac12"), same_answer("(1, 2)", "(2, 1)")
    (True, False)
    """
    if len(said) > _LONGEST or len(wanted) > _LONGEST:
        return said.strip() == wanted.strip()
    left, right = plain(said), plain(wanted)
    if not left or not right:
        return False
    if ("=" in left) != ("=" in right):
        left, right = _right_side(left), _right_side(right)
    return _same(left, right)


def _right_side(text: str) -> str:
    name, equals, rest = text.partition("=")
    return rest if equals and re.fullmatch(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\(\w\))?", name) else text


def _same(left: str, right: str) -> bool:
    if left == right:
        return True
    if bool(_BASE.search(left)) != bool(_BASE.search(right)):
        left, right = _BASE.sub("", left), _BASE.sub("", right)
    numbers = value(left), value(right)
    if numbers[0] is not None and numbers[1] is not None:
        return math.isclose(numbers[0], numbers[1], rel_tol=1e-6, abs_tol=1e-9)
    one, two = _parts(left), _parts(right)
    if one is None or two is None:
        return False
    (kind, ours), (other, theirs) = one, two
    if kind != other or len(ours) != len(theirs):
        return False
    if kind in ("", "{}"):
        return _same_bag(ours, theirs)
    return all(_same(mine, yours) for mine, yours in zip(ours, theirs, strict=True))


def _same_bag(ours: list[str], theirs: list[str]) -> bool:
    left = list(theirs)
    for one in ours:
        match = next((other for other in left if _same(one, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _parts(text: str) -> tuple[str, list[str]] | None:
    """("(]", ["1", "2"]) of "(1,2]"; the kind is "" for a bare list; None for what has one part."""
    kind, inner = "", text
    opening, closing = text[:2] if text.startswith("\\{") else text[:1], text[-1:]
    if opening == "\\{" and text.endswith("\\}"):
        kind, inner = "{}", text[2:-2]
    elif opening in "([" and opening and closing in ")]":
        kind, inner = opening + closing, text[1:-1]
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(inner):
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            return None
        if letter == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    parts.append(inner[start:])
    return (kind, parts) if len(parts) > 1 or kind == "{}" else None


class Math:
    """1 where the final answer equals the reference's.

    The reference is an answer, or a solution that holds it in `\\boxed{}`.

    References
    ----------
    Hendrycks et al. (2021), Measuring Mathematical Problem Solving With the MATH Dataset, section 3.1: the
    idea of the normalisation; beyond it, values are computed, so that 0.5 is one half.
    """

    def score(self, response: str, reference: str) -> float:
        boxed = _last_boxed(reference)
        wanted = boxed if boxed is not None else reference
        if not wanted.strip():
            raise ValueError("the reference holds no answer")
        return float(same_answer(final_answer(response), wanted))
