"""Test queries that training has seen."""

from __future__ import annotations

from suffice.outcomes import Outcomes
from suffice.outcomes.splitting import normalised


def n_seen(train: Outcomes, test: Outcomes) -> int:
    """How many test queries have a text that, but for case, width and white space, is a training text."""
    known = {normalised(text) for text in train.texts}
    return sum(normalised(text) in known for text in test.texts)
