"""Test queries that training has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from suffice.evaluation.trials import Tried
from suffice.outcomes import Outcomes
from suffice.outcomes.splitting import normalised


def n_seen(train: Outcomes, test: Outcomes) -> int:
    """How many test queries have a text that, but for case, width and white space, is a training text."""
    known = {normalised(text) for text in train.texts}
    return sum(normalised(text) in known for text in test.texts)


_MAX_KNOWN: Final = 0.02
"""Of queries: a larger share makes cross-validation flatter."""


def unknowing(folds: Mapping[str, Sequence[Tried]]) -> tuple[str, ...]:
    """Routers whose cross-validation can be believed; all of them where none can.

    A router that was trained elsewhere on (nearly) these queries has seen what it is asked about,
    whichever part is left out here.

    Parameters
    ----------
    folds : by router, what came of cross-validation
    """
    return tuple(name for name, tried in folds.items() if _share_known(tried) <= _MAX_KNOWN) or tuple(folds)


def _share_known(tried: Sequence[Tried]) -> float:
    n_known = sum(int(one.seen.sum()) for one in tried if one.seen is not None)
    return n_known / max(1, sum(len(one.scores) for one in tried))
