"""GSM8K: the last number that a response arrives at."""

from __future__ import annotations

import math
import re
from typing import Final

_NUMBER: Final = re.compile(
    r"(?<![\w.])[-\u2212+]?\s?[$\u20ac\u00a3]?\s?-?(?:\d[\d,]*\.?\d*|\.\d+)(?:\s?/\s?\d+)?"
)
_MARKED: Final = (
    re.compile(r"####\s*([^\n]*)"),
    re.compile(r"\\boxed\{([^{}]*)\}"),
    re.compile(r"\banswer\b[^\n.:]*?(?:\bis\b|[:=])[\s*_`]*([^\n]*)", re.IGNORECASE),
)


def final_number(text: str) -> float | None:
    """The number after the last "####", "\\boxed{" or "answer is", else the last number of all.

    Examples
    --------
    >>> final_number("48/2 = <<48/2=24>>24 clips in May.\\n#### 72")
    72.0
    >>> final_number("So she earns $1,250.50 a week.")
    1250.5
    """
    text = text[-20_000:]
    for pattern in _MARKED:
        for said in reversed(pattern.findall(text)):
            number = _first(said)
            if number is not None:
                return number
    found = [_value(match) for match in _NUMBER.findall(text)]
    known = [value for value in found if value is not None]
    return known[-1] if known else None


def _first(text: str) -> float | None:
    """The number of "72 clips", of "40 + 32 = 72" the last."""
    text = text.rpartition("=")[2] if "=" in text else text
    match = _NUMBER.search(text.replace("\\", ""))
    return _value(match[0]) if match else None


def _value(text: str) -> float | None:
    plain = re.sub(r"[\s,$\u20ac\u00a3+]", "", text.replace("\u2212", "-")).rstrip(".")
    above, slash, below = plain.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


class Gsm8k:
    """1 where the final number equals the reference's.

    References
    ----------
    Cobbe et al. (2021), Training Verifiers to Solve Math Word Problems: the answer follows "####".
    """

    def score(self, response: str, reference: str) -> float:
        wanted = final_number(reference)
        if wanted is None:
            raise ValueError(f"the reference {reference[:40]!r} holds no number")
        said = final_number(response)
        return float(said is not None and math.isclose(said, wanted, rel_tol=1e-6, abs_tol=1e-9))
