"""How many of n sampled answers agree.

Needs: text only. Costs: n calls, n answers of tokens. Answers are compared as they stand: pass what was
extracted (a letter, a number) or cluster numbers, and None where a sample held no answer. None agrees with
nothing, not even another None, and counts in n. The reasons for three numbers: the share is what was
published, the margin also sees a close second, the entropy sees the whole spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from suffice.confidence.base import Reading, Signal, Unavailable, clipped, entropy, share

_Answer = TypeVar("_Answer", bound=Hashable)


def majority(answers: Sequence[_Answer | None]) -> _Answer | None:
    """The commonest answer, the earliest of equals; None where there is none.

    Examples
    --------
    >>> majority(["18", "20", "20", None])
    '20'
    """
    votes = Counter(answer for answer in answers if answer is not None)
    return max(votes, key=votes.__getitem__) if votes else None


def score(answers: Sequence[Hashable | None], *, answer: Hashable | None = None) -> Reading:
    """Value and confidence: the share of samples that give the majority's answer, or the one given.

    Parameters
    ----------
    answers : n_samples of them, at least 2
    answer : the answer that is judged, e.g. the one decoded greedily (which is no sample)

    References
    ----------
    Wang et al. (2023), Self-Consistency Improves Chain of Thought Reasoning, sections 2 and 3.5.

    Examples
    --------
    >>> float(score(["18", "20", "20", None]))
    0.5
    """
    votes = _votes(answers)
    if isinstance(votes, Unavailable):
        return votes
    chosen = votes[answer] if answer is not None else max(votes.values())
    return share(chosen / len(answers))


def margin(answers: Sequence[Hashable | None]) -> Reading:
    """Value and confidence: votes of the first minus votes of the second, over n.

    Examples
    --------
    >>> float(margin(["18", "20", "20", "20"]))
    0.5
    """
    votes = _votes(answers)
    if isinstance(votes, Unavailable):
        return votes
    (_, first), (_, second) = [*votes.most_common(2), (None, 0)][:2]
    return share((first - second) / len(answers))


def vote_entropy(answers: Sequence[Hashable | None]) -> Reading:
    """Value: H of the shares of votes, each None a vote of its own; confidence 1 - H / ln n.

    Examples
    --------
    >>> vote_entropy(["18", "18"]).confidence
    1.0
    """
    votes = _votes(answers)
    if isinstance(votes, Unavailable):
        return votes
    counts = [*votes.values(), *[1] * (len(answers) - votes.total())]
    value = float(entropy(np.array(counts) / len(answers)))
    return Signal(value, clipped(1 - value / np.log(len(answers))))


def _votes(answers: Sequence[Hashable | None]) -> Counter[Hashable] | Unavailable:
    if len(answers) < 2:
        return Unavailable("under two samples: nothing to compare")
    votes = Counter[Hashable](answer for answer in answers if answer is not None)
    return votes or Unavailable("no sample holds an answer")
