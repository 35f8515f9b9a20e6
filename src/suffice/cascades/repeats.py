"""Readings from recorded calls beside the answers: self-verifications, samples, paraphrases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from suffice.errors import DataError
from suffice.outcomes import Outcomes, Runs
from suffice.types import FloatArray


class Readings(NamedTuple):
    """(n, M) each, as `Recorded.of` takes them."""

    reading: FloatArray
    cost_usd: FloatArray
    """Of all calls together; 0 where there were none."""
    latency_s: FloatArray
    """Of the slowest: they can run side by side."""


def readings_of(
    runs: Runs, outcomes: Outcomes, strategy: str, read: Callable[[str, Sequence[str]], float | None]
) -> Readings:
    """One signal of every recorded answer, from the calls of another strategy on the same query and arm.

    Parameters
    ----------
    outcomes : with responses
    strategy : such as "verify" or "sample"
    read : from an answer and the texts of those calls, to a number in [0, 1] or None; an empty answer is not
        read

    Raises
    ------
    DataError
        If the outcomes hold no responses.
    """
    if outcomes.responses is None:
        raise DataError("readings are of answers: load the outcomes with responses=True")
    called: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in runs.where(strategy=strategy).table.select(_columns(runs)).to_pylist():
        called[row["query_id"], row["model"]].append(row)
    shape = outcomes.quality.shape
    reading, cost, latency = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    for place, name in enumerate(outcomes.ids):
        for arm, model in enumerate(outcomes.arms):
            calls = called.get((name, model), [])
            if not calls:
                continue
            answer = outcomes.responses[place, arm] or ""
            said = read(answer, [call["response"] or "" for call in calls]) if answer.strip() else None
            reading[place, arm] = np.nan if said is None else said
            cost[place, arm] = sum(_number(call.get("cost_usd")) for call in calls)
            latency[place, arm] = max(_number(call.get("latency_s")) for call in calls)
    return Readings(reading, cost, latency)


def _columns(runs: Runs) -> list[str]:
    return [
        name
        for name in ("query_id", "model", "response", "cost_usd", "latency_s")
        if name in runs.columns or name in ("query_id", "model", "response")
    ]


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
