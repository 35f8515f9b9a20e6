"""What the model says when asked whether the answer is correct.

Needs: the top-k logprobs of the first token of the reply, else text only. Costs: one call of the question and
the answer with one or a few tokens out; showing it 2 to 10 brainstormed answers first helps and costs as many
calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from suffice.confidence.base import Reading, Signal, Unavailable, share

TRUE: Final = ("true", "yes", "correct")
FALSE: Final = ("false", "no", "incorrect", "wrong")

_NEGATED = re.compile(r"\b(?:not|isn['’]?t|n['’]t)\s+(?:\w+ly\s+)?(?:true|correct|right)\b")
_NOT_FALSE = re.compile(r"\b(?:not|isn['’]?t)\s+(?:\w+ly\s+)?(?:false|incorrect|wrong)\b")
_WORD = re.compile(r"\b(true|yes|correct|right|false|no|incorrect|wrong)\b")
_MARKERS = " \t\n▁Ġ*_\"'`.:,()[]"
"""What tokenizers and Markdown put around a word."""


def from_logprobs(
    top_logprobs: Mapping[str, float] | None, *, true: Sequence[str] = TRUE, false: Sequence[str] = FALSE
) -> Reading:
    """Value: p(True), the mass on true tokens; confidence: p(True) / (p(True) + p(False)).

    " True", "▁true" and "TRUE" are one word; their probabilities add up. A word beyond the top k has
    probability 0, so with neither word there the signal is unavailable.

    Parameters
    ----------
    top_logprobs : token -> log-probability at the first token of the reply
    true, false : words that count, case ignored; ("a",) and ("b",) for options (A) True, (B) False

    References
    ----------
    Kadavath et al. (2022), Language Models (Mostly) Know What They Know, section 4.

    Examples
    --------
    >>> from_logprobs({"True": np.log(0.6), " true": np.log(0.15), "False": np.log(0.25)}).confidence
    0.75
    """
    if top_logprobs is None:
        return Unavailable("no log-probabilities")
    mass = {"true": 0.0, "false": 0.0}
    for token, logprob in top_logprobs.items():
        word = token.strip(_MARKERS).casefold()
        side = "true" if word in true else "false" if word in false else None
        if side and not np.isnan(logprob):
            mass[side] += float(np.exp(min(logprob, 0.0)))
    total = mass["true"] + mass["false"]
    if not total:
        return Unavailable("neither True nor False is among the likeliest tokens")
    return Signal(min(1.0, mass["true"]), mass["true"] / total)


def parse(reply: str) -> bool | None:
    """True or False as the reply says it; None where it says neither or both.

    The first word decides if it is one of them; else all such words have to agree. "Not correct" is False.

    Examples
    --------
    >>> parse("**True**, since ..."), parse("The answer is not correct."), parse("It depends.")
    (True, False, None)
    """
    text = _NOT_FALSE.sub("true", _NEGATED.sub("false", reply.casefold()))
    words = _WORD.findall(text)
    if not words:
        return None
    if text.strip(_MARKERS).startswith(words[0]):
        return words[0] in (*TRUE, "right")
    sides = {word in (*TRUE, "right") for word in words if word not in ("no", "yes", "right")} or {
        word in (*TRUE, "right") for word in words
    }
    return sides.pop() if len(sides) == 1 else None


def from_replies(replies: Sequence[str]) -> Reading:
    """Value and confidence: the share of True among the replies that say either; one gives 1 or 0.

    Examples
    --------
    >>> float(from_replies(["True", "False", "True", "Perhaps", "yes"]))
    0.75
    """
    said = [verdict for verdict in map(parse, replies) if verdict is not None]
    return share(float(np.mean(said))) if said else Unavailable("no reply says True or False")
