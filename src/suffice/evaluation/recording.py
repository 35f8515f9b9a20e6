"""A file of recorded calls as what cascades are fitted to: answers, and what can be read from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from suffice.cascades import Recorded
from suffice.cascades.answers import answer_key
from suffice.cascades.automix import share
from suffice.cascades.repeats import readings_of
from suffice.confidence import Unavailable, self_consistency
from suffice.errors import DataError
from suffice.outcomes import Outcomes, Runs
from suffice.types import FloatArray, Price


def agreement(answer: str, samples: Sequence[str]) -> float | None:
    """The share of samples whose final answer is this one's."""
    keys = [answer_key(sample) or None for sample in samples]
    found = self_consistency.score(keys, answer=answer_key(answer) or None)
    return None if isinstance(found, Unavailable) else float(found)


BESIDE: Final[Mapping[str, tuple[str, Callable[[str, Sequence[str]], float | None]]]] = {
    "verify": ("verification", lambda _, replies: share(replies)),
    "sample": ("self_consistency", agreement),
}
"""Strategies whose rows are calls about an answer rather than answers: signal, and how it is read."""


def recorded_of(
    runs: Runs,
    *,
    columns: Sequence[str] = (),
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
) -> Recorded:
    """Answers by query and model, with readings from columns and from further calls.

    Parameters
    ----------
    runs : one row per answer; rows of the strategies `verify` and `sample` are calls about an answer, and
        give the signals `verification` and `self_consistency` with what they cost
    columns : confidences of answers in [0, 1], each a signal of that name, free of cost
    models : to take; None takes all
    prices : to price tokens anew

    Raises
    ------
    DataError
        If a column is missing or holds no number, or rows do not fit together.
    """
    answers, outcomes = answers_of(runs, models=models, prices=prices)
    return read_beside(runs, answers, outcomes, columns)


def answers_of(
    runs: Runs, *, models: Sequence[str] | None = None, prices: Mapping[str, Price] | None = None
) -> tuple[Runs, Outcomes]:
    """The rows that are answers, and the same as a table with texts, where they were kept."""
    answers = runs
    if beside := _beside(runs):
        kept = {name for name in runs.column("strategy") if name and name not in beside}
        answers = runs.where(strategy=sorted(kept))
    outcomes = answers.to_outcomes(responses="response" in runs.columns)
    if models is not None:
        outcomes = outcomes.select(arms=models)
    return answers, outcomes.with_prices(prices) if prices else outcomes


def read_beside(runs: Runs, answers: Runs, outcomes: Outcomes, columns: Sequence[str]) -> Recorded:
    """Answers with what their columns and the calls about them say; parameters as for `recorded_of`."""
    readings = {name: _column(answers, outcomes, name) for name in columns}
    costs, latencies = {}, {}
    for strategy in _beside(runs):
        name, read = BESIDE[strategy]
        readings[name], costs[name], latencies[name] = readings_of(runs, outcomes, strategy, read)
    return Recorded.of(outcomes, readings, reading_cost_usd=costs, reading_latency_s=latencies)


def _beside(runs: Runs) -> list[str]:
    """Strategies whose rows are no answers."""
    strategies = set(runs.column("strategy")) if "strategy" in runs.columns else set()
    return [name for name in BESIDE if name in strategies]


def _column(answers: Runs, outcomes: Outcomes, name: str) -> FloatArray:
    """(n, M) of the file's column."""
    values = np.full(outcomes.quality.shape, np.nan)
    row_of = {query: row for row, query in enumerate(outcomes.ids)}
    arm_of = {model: arm for arm, model in enumerate(outcomes.arms)}
    cells = zip(answers.column("query_id"), answers.column("model"), answers.column(name), strict=True)
    for query, model, value in cells:
        if value is None or model not in arm_of or query not in row_of:
            continue
        try:
            values[row_of[query], arm_of[model]] = float(value)
        except (TypeError, ValueError):
            raise DataError(f"{value!r} is no number in [0, 1]", column=name) from None
    return values
