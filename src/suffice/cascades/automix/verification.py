"""AutoMix's self-verification as one number: of k verdicts on an answer, the share that says "correct".

How the model is asked, few-shot and with its context, stands in `suffice.plans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from suffice.confidence import p_true

NAME: Final = "verification"
"""Of the signal."""


def share(replies: Sequence[str]) -> float | None:
    """Of the replies that say either; None where none does, as of a verifier that talks nonsense.

    References
    ----------
    Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models, section 3.1. There an unreadable
    verdict counts as a wrong answer; here it counts for nothing.

    Examples
    --------
    >>> share(["Correct.", "The answer is incorrect", "yes", "As an AI"]), share(["42", ""])
    (0.6666666666666666, None)
    """
    return p_true.from_replies(replies).value
