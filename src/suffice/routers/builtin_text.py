"""What the built-in router reads in a text: its words, its shape, and whether it was trained on.

The training script uses the same functions, so that what was learnt is what is looked up.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.outcomes.splitting import normalised
from suffice.types import FloatArray

SHAPES: Final = (
    "length",
    "numbers",
    "largest number",
    "share of digits",
    "sentences",
    "lines",
    "formulas",
    "code marks",
    "answers to choose from",
    "length of the answers to choose from",
    "length of words",
    "other scripts",
    "percent and money",
    "parts and multiples",
)
"""Names of what `shape` measures."""

_MAX_CHARACTERS: Final = 16_384
_NUMBER: Final = re.compile(r"\d[\d,.]*")
_OPTION: Final = re.compile(r"^\(?[A-J][.)] |\([A-J]\) ", re.MULTILINE)
_RATIO: Final = re.compile(
    r"\b(?:half|twice|thrice|third|quarter|double|triple|times|more than|less than|fewer than)\b"
    r"|\b(?:each|every|per)\b"
)
_CODE: Final = re.compile(r"def |return|[{};=]|\(\)|->|import ")
_SENTENCE: Final = re.compile(r"[.?!](?:\s|$)")


def shape(text: str) -> FloatArray:
    """(len(SHAPES),): how long a text is and what it is made of; logarithms of counts, and shares.

    Of a text over 16,384 characters the first and last 8,192 count, as in `HashedNgrams`.
    """
    if len(text) > _MAX_CHARACTERS:
        half = _MAX_CHARACTERS // 2
        text = f"{text[:half]} {text[-half:]}"
    options = _OPTION.findall(text)
    first = _OPTION.search(text)
    stem = text if first is None or first.start() < len(text) // 8 else text[: first.start()]
    n = max(len(stem), 1)
    numbers = _NUMBER.findall(stem)
    n_digits = sum(len(number) for number in numbers)
    largest = max((len(number.split(".")[0].replace(",", "")) for number in numbers), default=0)
    n_words = stem.count(" ") + 1
    n_ascii = n if stem.isascii() else len(stem.encode("ascii", "ignore"))
    return np.array(
        [
            math.log1p(n),
            math.log1p(len(numbers)),
            min(largest, 10),
            n_digits / n,
            math.log1p(len(_SENTENCE.findall(stem))),
            math.log1p(stem.count("\n")),
            math.log1p(text.count("\\") + text.count("$") // 2),
            math.log1p(len(_CODE.findall(stem))),
            math.log1p(len(options)),
            math.log1p(len(text) - len(stem)),
            min(n / n_words, 12.0),
            1 - n_ascii / n,
            math.log1p(stem.count("%") + stem.count("$")),
            math.log1p(len(_RATIO.findall(stem))),
        ]
    )


def text_hashes(texts: Sequence[str]) -> NDArray[np.uint32]:
    """(n,): four bytes of each text, but for case, width and white space.

    Examples
    --------
    >>> bool(text_hashes(["How  many?"])[0] == text_hashes(["how many?"])[0])
    True
    """
    digests = [
        hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=4).digest()
        for text in texts
    ]
    return np.frombuffer(b"".join(digests), "<u4").astype(np.uint32)
