"""AutoMix's self-verification as one number: of k verdicts on an answer, the share that says "correct".

How the model is asked, few-shot and with its context, stands in `suffice.plans`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from suffice.confidence import p_true

_DECISION: Final = re.compile(r"decision\W+(\w+)", re.IGNORECASE)


def verdict(reply: str) -> bool | None:
    """What a reply decides, after its reasoning; None where it says neither or both.

    Examples
    --------
    >>> verdict("It is correct that 7 + 8 is 15. Decision: Incorrect"), verdict("Yes"), verdict("Hm.")
    (False, True, None)
    """
    decisions = _DECISION.findall(reply)
    return p_true.parse(decisions[-1] if decisions else reply)


def share(replies: Sequence[str]) -> float | None:
    """Of the replies that say either; None where none does, as of a verifier that talks nonsense.

    References
    ----------
    Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models, section 3.1. There an unreadable
    verdict counts against the answer; here it counts for nothing.

    Examples
    --------
    >>> share(["Correct.", "The answer is incorrect", "yes", "As an AI"]), share(["42", ""])
    (0.6666666666666666, None)
    """
    said = [one for one in map(verdict, replies) if one is not None]
    return sum(said) / len(said) if said else None
