"""Reason step by step, then have every step checked.

Needs: text only. Costs: the reasoned answer and one checking call that reads it (or one call per step): two
to three times the tokens of a bare answer. The check names each step and a verdict, one per line:
"Step 3: incorrect".
"""

from __future__ import annotations

import re

import numpy as np

from suffice.confidence.base import Reading, Unavailable, share

_LINE = re.compile(r"^\W*(?:step\s*)?\(?(\d+)\)?\W*[:.)\-–—]\W*(.+)$", re.IGNORECASE)
_UNSURE = re.compile(
    r"\b(?:unsure|uncertain|unclear|not sure|cannot (?:tell|verify)|maybe|neutral)\b", re.IGNORECASE
)
_WRONG = re.compile(
    r"\b(?:incorrect|wrong|false|error|mistake|contradicts?|invalid|not (?:correct|right|valid|true)|no)\b",
    re.IGNORECASE,
)
_NO_FAULT = re.compile(
    r"\b(?:no|without|any) (?:error|mistake|contradiction)s?\b|\bnot (?:wrong|false|incorrect)\b",
    re.IGNORECASE,
)
_RIGHT = re.compile(r"\b(?:correct|right|true|valid|ok|okay|supports?|supported|yes)\b", re.IGNORECASE)

_FAILED, _UNKNOWN = 1.0, 0.3
"""Weights of a failed and of an unsure step in the exponent."""


def parse(check: str) -> tuple[int, ...]:
    """The verdicts by step number: 1 right, -1 wrong, 0 unsure; a step judged twice counts as last judged.

    Lines without a step number or without a verdict are prose and left out.

    Examples
    --------
    >>> parse("Step 1: correct\\nStep 2: incorrect, 3 * 4 is 12\\nStep 3: not sure")
    (1, -1, 0)
    """
    verdicts: dict[int, int] = {}
    for line in check.splitlines():
        found = _LINE.match(line.strip())
        verdict = _verdict(found[2]) if found else None
        if found and verdict is not None:
            verdicts[int(found[1])] = verdict
    return tuple(verdicts[step] for step in sorted(verdicts))


def score(verdicts: tuple[int, ...]) -> Reading:
    """Value and confidence: 2 sigmoid(-n_wrong - 0.3 n_unsure); 1 where every step holds.

    Parameters
    ----------
    verdicts : of `parse`; empty is `Unavailable`

    References
    ----------
    After Miao et al. (2024), SelfCheck: Using LLMs to Zero-Shot Check Their Own Step-by-Step Reasoning; there
    a step is also regenerated from what it rests on, here it is only judged.

    Examples
    --------
    >>> float(score((1, 1, 1)))
    1.0
    """
    if not verdicts:
        return Unavailable("no step was checked")
    weight = _FAILED * verdicts.count(-1) + _UNKNOWN * verdicts.count(0)
    return share(float(2 / (1 + np.exp(weight))))


def _verdict(text: str) -> int | None:
    text = _NO_FAULT.sub("correct", text)
    places = {
        verdict: found.start()
        for verdict, pattern in ((0, _UNSURE), (-1, _WRONG), (1, _RIGHT))
        if (found := pattern.search(text))
    }
    return min(places, key=places.__getitem__) if places else None  # what is said first is the verdict
