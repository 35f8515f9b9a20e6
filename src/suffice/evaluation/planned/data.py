"""What plans need of a file beside outcomes: texts, readings of answers, samples, and what each call took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self

import numpy as np

from suffice.cascades import Recorded
from suffice.cascades.answers import answer_key
from suffice.evaluation.recording import BESIDE, answers_of, read_beside
from suffice.outcomes import Outcomes, Runs
from suffice.types import FloatArray, IntArray, Price

SAMPLE: Final = "sample"
_COLUMNS: Final = (
    "query_id", "model", "response", "score", "cost_usd", "prompt_tokens", "completion_tokens", "latency_s"
)  # fmt: skip


class Sample(NamedTuple):
    """One further answer to the same prompt; NaN is unknown."""

    key: str
    quality: float
    cost_usd: float
    n_tokens: float
    latency_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanData:
    """n queries by M models of one file, made by `read`."""

    recorded: Recorded
    n_tokens: FloatArray
    """(n, M) of every answer; NaN is unknown."""
    beside_calls: Mapping[str, FloatArray] = field(default_factory=dict)
    """By signal, (n, M): calls about an answer."""
    beside_tokens: Mapping[str, FloatArray] = field(default_factory=dict)
    samples: Mapping[tuple[str, str], Sequence[Sample]] = field(default_factory=dict)
    """By query id and model."""

    @classmethod
    def read(
        cls, runs: Runs, *, signals: Sequence[str] = (), prices: Mapping[str, Price] | None = None
    ) -> tuple[Outcomes, Self]:
        """The answers as outcomes, and what plans need beside them.

        Parameters
        ----------
        runs : rows of the strategies `verify` and `sample` are calls about an answer
        signals : columns with confidences of answers in [0, 1]

        Raises
        ------
        DataError
            If a column is missing or holds no number, or (query, model) rows repeat.
        """
        answers, outcomes = answers_of(runs, prices=prices)
        recorded = read_beside(runs, answers, outcomes, signals)
        called = _called(runs)
        calls, tokens = {}, {}
        for strategy, (signal, _) in BESIDE.items():
            if signal in recorded.readings and strategy in called:
                calls[signal], tokens[signal] = _counted(called[strategy], outcomes)
        samples = {
            cell: tuple(_sample(row) for row in rows) for cell, rows in sorted(called.get(SAMPLE, {}).items())
        }
        found = cls(
            recorded=recorded,
            n_tokens=outcomes.prompt_tokens + outcomes.completion_tokens,
            beside_calls=calls,
            beside_tokens=tokens,
            samples=samples,
        )
        return outcomes, found

    def of(self, outcomes: Outcomes) -> Self:
        """The same for some of the queries and models, with the costs that `outcomes` has."""
        places = {query.id: row for row, query in enumerate(self.recorded.queries)}
        rows = np.array([places[name] for name in outcomes.ids], dtype=np.intp)
        found = self._cut(rows, outcomes.arms)
        return replace(found, recorded=replace(found.recorded, cost_usd=np.array(outcomes.cost_usd)))

    def of_arms(self, arms: Sequence[str]) -> Self:
        """These models alone, in this order."""
        return self._cut(np.arange(self.recorded.n_queries), arms)

    def _cut(self, rows: IntArray, arms: Sequence[str]) -> Self:
        places = np.array([self.recorded.arms.index(name) for name in arms], dtype=np.intp)
        grid = np.ix_(rows, places)
        tables = (self.beside_calls, self.beside_tokens)
        calls, tokens = ({name: one[grid] for name, one in table.items()} for table in tables)
        return replace(
            self,
            recorded=self.recorded.select(rows, arms),
            n_tokens=self.n_tokens[grid],
            beside_calls=calls,
            beside_tokens=tokens,
        )

    def with_reading(self, name: str, values: FloatArray) -> Self:
        """One more reading, free and instant: worked out here from the answers."""
        recorded, nothing = self.recorded, np.zeros(values.shape)
        more = replace(
            recorded,
            readings={**recorded.readings, name: values},
            reading_cost_usd={**recorded.reading_cost_usd, name: nothing},
            reading_latency_s={**recorded.reading_latency_s, name: nothing},
        )
        return replace(self, recorded=more)


def _called(runs: Runs) -> dict[str, dict[tuple[str, str], list[dict[str, Any]]]]:
    """Calls about answers by strategy and cell, in the order of their numbers."""
    if "strategy" not in runs.columns:
        return {}
    found: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = {}
    columns = [name for name in (*_COLUMNS, SAMPLE) if name in runs.columns]
    for strategy in set(runs.column("strategy")) & set(BESIDE):
        cells = defaultdict(list)
        rows = runs.where(strategy=strategy).table.select(columns).to_pylist()
        for row in sorted(rows, key=lambda row: row.get(SAMPLE) or 0):
            cells[row["query_id"], row["model"]].append(row)
        found[strategy] = dict(cells)
    return found


def _counted(
    cells: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], outcomes: Outcomes
) -> tuple[FloatArray, FloatArray]:
    """(n, M) each: calls about every answer, and their tokens."""
    calls, tokens = np.zeros(outcomes.quality.shape), np.zeros(outcomes.quality.shape)
    row_of = {name: row for row, name in enumerate(outcomes.ids)}
    for (query, model), rows in cells.items():
        if query in row_of and model in outcomes.arms:
            place = row_of[query], outcomes.arms.index(model)
            calls[place], tokens[place] = len(rows), sum(_tokens(row) for row in rows)
    return calls, tokens


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(
        answer_key(row.get("response") or ""),
        _number(row.get("score")),
        _number(row.get("cost_usd")),
        _tokens(row),
        _number(row.get("latency_s")),
    )


def _tokens(row: Mapping[str, Any]) -> float:
    return _number(row.get("prompt_tokens")) + _number(row.get("completion_tokens"))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
