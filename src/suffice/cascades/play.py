"""A cascade on recorded answers: one query after the other, exactly as it would have gone live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from suffice.cascades.base import Cascade, Seen, signals_of
from suffice.cascades.recorded import Recorded
from suffice.errors import DataError
from suffice.types import BoolArray, FloatArray, IntArray

_WITHOUT_TEXT: Final = ""


@dataclass(frozen=True, eq=False)
class Played:
    """What came of it, by query (n,)."""

    arm: IntArray
    """Whose answer was given: index into the cascade's arms."""
    quality: FloatArray
    cost_usd: FloatArray
    """Of every answer that was asked for and every reading that was taken; NaN where one is unknown."""
    latency_s: FloatArray
    n_calls: IntArray
    """Arms asked; the calls behind a reading are in its cost."""
    asked: BoolArray
    """(n, n_arms): which."""


def play(
    cascade: Cascade, recorded: Recorded, scores: FloatArray | None = None, costs: FloatArray | None = None
) -> Played:
    """Every query by itself, through `next`: slow, and what vectorised fits are tested against.

    Parameters
    ----------
    recorded : has all of the cascade's arms
    scores, costs : shape (n, n_arms), in the order of the cascade's arms
        A router's scores and predicted costs in USD; None: unknown.

    Raises
    ------
    UnknownName
        If an arm or a signal of the cascade was not recorded.
    DataError
        If the cascade asks an arm twice or accepts an answer that is not there.
    """
    table = recorded.select(arms=cascade.arms)
    unknown = np.full((table.n_queries, table.n_arms), np.nan)
    scores = unknown if scores is None else np.asarray(scores, np.float64)
    costs = unknown if costs is None else np.asarray(costs, np.float64)
    wanted = [signals_of(cascade, arm) for arm in range(table.n_arms)]
    for name in {name for names in wanted for name in names}:
        table.signal(name)
    arm = np.empty(table.n_queries, dtype=np.intp)
    was_asked = np.zeros((table.n_queries, table.n_arms), dtype=np.bool_)
    cost, latency = np.zeros(table.n_queries), np.zeros(table.n_queries)
    for row in range(table.n_queries):
        seen: list[Seen] = []
        while (move := cascade.next(table.queries[row], scores[row], costs[row], seen)).ask is not None:
            asked = move.ask
            if asked in [one.arm for one in seen] or not 0 <= asked < table.n_arms:
                raise DataError(
                    f"{cascade.name} asks arm {asked} of {table.n_arms} after {len(seen)} answers"
                )
            seen.append(_seen(table, row, asked, wanted[asked]))
            was_asked[row, asked] = True
            cost[row] += table.cost_usd[row, asked]
            latency[row] += table.latency_s[row, asked]
            for name in wanted[asked]:
                cost[row] += table.reading_cost_usd[name][row, asked]
                latency[row] += table.reading_latency_s[name][row, asked]
        if move.accept is None or not 0 <= move.accept < len(seen):
            raise DataError(f"{cascade.name} accepts answer {move.accept} of {len(seen)}")
        arm[row] = seen[move.accept].arm
    quality = table.quality[np.arange(table.n_queries), arm]
    return Played(arm, quality, cost, latency, was_asked.sum(axis=1), was_asked)


def _seen(table: Recorded, row: int, arm: int, signals: tuple[str, ...]) -> Seen:
    values = {name: float(table.readings[name][row, arm]) for name in signals}
    readings = {name: None if np.isnan(value) else value for name, value in values.items()}
    text = _WITHOUT_TEXT if table.responses is None else table.responses[row, arm]
    return Seen(arm=arm, readings=readings, text=text or _WITHOUT_TEXT)
