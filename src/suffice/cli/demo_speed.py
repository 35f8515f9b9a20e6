"""How fast this machine is, against the one on which the panel was recorded.

Predicted costs and the baseline of a local panel rest on recorded CPU seconds; without this, a saving would
say more about the two machines than about the routing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from suffice.datasets.panel import load_runs
from suffice.errors import ProviderError
from suffice.protocols import Model
from suffice.types import Options, Query

_MODELS: Final = ("small", "large")
_N_QUESTIONS: Final = 3
"""Per model; the first one pays for warming up and is not counted."""


async def measured_speed(models: Mapping[str, Model]) -> float:
    """CPU seconds here per recorded CPU second, over a few recorded questions; 1.0 where that fails."""
    ours, theirs = 0.0, 0.0
    for name in _MODELS:
        for place, run in enumerate(_recorded(name)):
            fields = {"temperature": 0, "max_tokens": int(run["completion_tokens"])}
            try:
                answer = await models[name].answer(Query(text=run["prompt"]), Options(fields=fields))
            except ProviderError:
                return 1.0
            if place and answer.usage.compute_s:
                ours += answer.usage.compute_s
                theirs += run["cpu_s"]
    return ours / theirs if ours and theirs else 1.0


def _recorded(model: str) -> list[dict[str, Any]]:
    """The first few greedy answers of a model."""
    runs = load_runs().where(model=model, strategy="greedy")
    names = ("prompt", "completion_tokens", "cpu_s")
    columns = [runs.column(name)[:_N_QUESTIONS] for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def described(speed: float, usd_per_cpu_hour: Decimal) -> str:
    """In words, with the assumption behind every local cost."""
    return (
        f"local models cost CPU time: {usd_per_cpu_hour} USD an hour of one core is an assumption (set "
        f"usd_per_cpu_hour); a core takes {speed:.2g} times as long here as where the panel was recorded"
    )
