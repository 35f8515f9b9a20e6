"""How many different models give the same answer.

Needs: text only, several models. Costs: one call of each model. Models err together less than samples of one
model do, so the same share is worth more than in `self_consistency`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from suffice.confidence.base import Reading, Unavailable, share


def score(
    answers: Sequence[Hashable | None],
    *,
    weights: Sequence[float] | None = None,
    answer: Hashable | None = None,
) -> Reading:
    """Value and confidence: the weight of the heaviest answer, or of the one given, over all weights.

    Parameters
    ----------
    answers : one per model, compared as they stand; None where the model failed or abstained, which leaves it
        out (it has said nothing against the others)
    weights : per model, at least 0, e.g. its accuracy; equal by default
    answer : the answer that is judged

    References
    ----------
    Lakshminarayanan et al. (2017), Deep Ensembles, section 2.4, with votes for probabilities.

    Examples
    --------
    >>> float(score(["b", "b", "c", None]))
    0.6666666666666666
    """
    if weights is not None and (len(weights) != len(answers) or any(weight < 0 for weight in weights)):
        raise ValueError("one weight per model, none below 0")
    votes: dict[Hashable, float] = {}
    voters = 0
    for i, given in enumerate(answers):
        if given is not None:
            votes[given] = votes.get(given, 0.0) + (1.0 if weights is None else weights[i])
            voters += 1
    total = sum(votes.values())
    if voters < 2 or not total:
        return Unavailable("under two models gave an answer")
    return share((max(votes.values()) if answer is None else votes.get(answer, 0.0)) / total)
