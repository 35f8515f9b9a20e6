"""DATE's recorded samples as arms: (model, n) pairs, each the commonest of n answers.

gpt-3.5-turbo (temperature 0.4) and llama-2-13b with two prompt styles by turns (cot1, pot1), gpt-4 with cot1:
once greedy, or 3 samples. A model asked once is its first sample. Costs: `automix.py`'s prices and prompt
lengths; llama-2-13b at 0.2 USD per million tokens in and out, an assumption. Samples of one style share
their prompt's cost, as with the API's `n`; whoever stops early asks for one after the other and pays the
prompt each time.

Arms that cascades ask, fixed before any fit: 8 samples of the weak models, gpt-4 greedy, gpt-4 three times.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from automix import EXAMPLES, N_SAMPLES, PRICES

from suffice import routers
from suffice.cascades import Recorded
from suffice.evaluation.cascading import Curve, scored
from suffice.evaluation.fitting import fitted
from suffice.evaluation.sweep import VALUES_USD, choices
from suffice.outcomes import Outcomes
from suffice.types import FloatArray, IntArray

_PRICES: Final = {**PRICES, "llama-2-13b": (0.2e-6, 0.2e-6)}
_WEAK: Final = ("llama-2-13b", "gpt-3.5-turbo")
_STYLES: Final = ("cot1", "pot1")
_N: Final = 8


class Sampled(NamedTuple):
    """The same questions, three ways."""

    singles: Recorded
    """Every model once."""
    voted: Recorded
    """What cascades ask; the share of samples that agree is the reading."""
    pairs: Recorded
    """Every model once, and every (model, n)."""
    stopped_usd: FloatArray
    """(n, pairs): the cost where samples are drawn one after the other until the vote is decided."""


class _Vote(NamedTuple):
    quality: float
    cost_usd: float
    stopped_usd: float
    share: float
    answer: str


def sampled(directory: Path) -> Sampled:
    """From `mot_cascade_samples.parquet`."""
    rows = pq.read_table(
        directory / "mot_cascade_samples.parquet", filters=[("task", "==", "date")]
    ).to_pylist()
    said: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["sample"]):
        if row["model"] != "gpt-3.5-turbo" or row["temperature"] == 0.4:
            said[row["query_id"], row["model"], row["strategy"]].append(row)
    texts = {row["query_id"]: row["query"] for row in rows}
    asked = [(model, n) for model in _WEAK for n in (1, *N_SAMPLES)] + [("gpt-4", 1), ("gpt-4", 3)]
    cells = [[_vote(_drawn(said, name, *arm), arm[0]) for arm in asked] for name in sorted(texts)]
    arms = [model if n == 1 else f"{model} x {n}" for model, n in asked]
    quality, cost, stopped, share = (np.array([[vote[k] for vote in row] for row in cells]) for k in range(4))
    answers = np.array([[f"Answer: {vote.answer}" for vote in row] for row in cells], dtype=object)
    queries = [texts[name] for name in sorted(texts)]
    pairs = Recorded.of(
        Outcomes.from_arrays(queries, arms, quality, cost_usd=cost, responses=answers),
        {"self_consistency": np.where([n > 1 for _, n in asked], share, np.nan)},
    )
    voted = pairs.select(arms=[*(f"{model} x {_N}" for model in _WEAK), "gpt-4", "gpt-4 x 3"])
    return Sampled(pairs.select(arms=[*_WEAK, "gpt-4"]), voted, pairs, stopped)


def best_of(fit_on: Recorded, table: Recorded, fit: IntArray, test: IntArray, seed: int) -> Curve:
    """A router over arms, by utility."""
    return _routed(fit_on.select(fit), table.select(test), seed)


def stopping(data: Sampled, fit: IntArray, test: IntArray, seed: int) -> Curve:
    """The same over (model, n), drawn one after the other until the vote is decided."""
    table = replace(data.pairs, cost_usd=data.stopped_usd)
    return _routed(table.select(fit), table.select(test), seed)


def _routed(fit: Recorded, test: Recorded, seed: int) -> Curve:
    first, second = (
        Outcomes.from_arrays(one.queries, one.arms, one.quality, cost_usd=one.cost_usd) for one in (fit, test)
    )
    router, _ = fitted("ensemble", first, seed=seed)
    chosen = choices(*scored(router, routers.fit_cost_model(first), second), VALUES_USD, test.arms)
    each = np.arange(test.n_queries)
    return Curve(test.quality[each, chosen], test.cost_usd[each, chosen])


def _drawn(
    said: dict[tuple[str, str, str], list[dict[str, Any]]], name: str, model: str, n: int
) -> list[dict[str, Any]]:
    """The rows of an arm, styles by turns."""
    if model == "gpt-4":
        return said[name, model, "cot1_greedy" if n == 1 else "cot1"][:n]
    by_style = [said[name, model, style] for style in _STYLES]
    return [row for pair in zip(*by_style, strict=True) for row in pair][:n]


def _vote(rows: list[dict[str, Any]], model: str) -> _Vote:
    """The commonest answer, of equals the first; an empty one has no vote."""
    into, out = _PRICES[model]
    prompts = {row["strategy"]: EXAMPLES[row["strategy"][:3]] + len(row["query"]) / 4 for row in rows}
    written = [(row["completion_tokens"] or 0) * out for row in rows]
    answers = [row["answer"] or "" for row in rows]
    last = _decided(answers)
    alone = sum(
        prompts[row["strategy"]] * into + cost for row, cost in zip(rows[:last], written, strict=False)
    )
    votes = Counter(answer for answer in answers if answer)
    cost = sum(prompts.values()) * into + sum(written)
    if not votes:
        return _Vote(0.0, cost, alone, 0.0, "")
    said, most = votes.most_common(1)[0]
    quality = next(row["score"] for row in rows if row["answer"] == said)
    return _Vote(float(quality or 0.0), cost, alone, most / len(rows), said)


def _decided(answers: list[str]) -> int:
    """After how many answers those still to come cannot change the first place."""
    votes: Counter[str] = Counter()
    for n, answer in enumerate(answers, 1):
        votes[answer] += bool(answer)
        counts = [count for _, count in votes.most_common(2)] + [0, 0]
        if counts[0] - counts[1] > len(answers) - n:
            return n
    return len(answers)
