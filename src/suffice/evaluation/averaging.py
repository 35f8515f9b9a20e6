"""The mean of several comparisons, figure by figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from suffice.evaluation.baselines import hull_corners
from suffice.evaluation.comparison import Comparison
from suffice.evaluation.details import SeedResult


def mean_of(comparisons: Mapping[int, Comparison]) -> Comparison:
    """Means over comparisons of the same models and routers.

    A figure that is unknown in one comparison is unknown in the mean. Names and verdicts are the most
    frequent ones, the recommended value is the median. Intervals are means of the ends: they speak of
    one split of this size, not of the mean of several. A task that some split lacks is left out; what
    was trained beside the comparison is that of the first split.

    Parameters
    ----------
    comparisons : by seed, at least one; a single one is its own mean
    """
    found = list(comparisons.values())
    if len(found) == 1:
        return found[0]
    mean: Comparison = _mean([_in_common_order(one) for one in found])
    singles = tuple(sorted(mean.details.singles, key=lambda s: (-s.quality, s.cost_usd_per_1k or 0.0)))
    values = [one.recommended.value_usd for one in found if one.recommended.value_usd is not None]
    zero = mean.baselines.zero_router
    return replace(
        mean,
        baselines=replace(mean.baselines, zero_router=replace(zero, curve=hull_corners(singles))),
        recommended=replace(mean.recommended, value_usd=float(np.median(values)) if values else None),
        details=replace(
            mean.details,
            singles=singles,
            models_left_out=found[0].details.models_left_out,
            seeds=tuple(_seed(seed, one) for seed, one in comparisons.items()),
            **{name: getattr(found[0].details, name) for name in _OF_THE_FIRST},
        ),
    )


_OF_THE_FIRST: Final = ("leave_out", "new_models", "learning_curve", "robustness")
_EMPTY: Final[Mapping[str, Any]] = {
    "leave_out": None,
    "new_models": None,
    "learning_curve": {},
    "robustness": {},
}


def _in_common_order(one: Comparison) -> Comparison:
    """Without what differs in length from seed to seed, and with models by name."""
    zero = replace(one.baselines.zero_router, curve=())
    singles = tuple(sorted(one.details.singles, key=lambda single: single.model))
    return replace(
        one,
        baselines=replace(one.baselines, zero_router=zero),
        details=replace(one.details, singles=singles, models_left_out={}, **_EMPTY),
    )


def _mean(values: Sequence[Any]) -> Any:
    """Of numbers the mean, of names the most frequent, of structures the mean of each part."""
    first = values[0]
    if any(value is None for value in values):
        return None
    if all(value == first for value in values):
        return first
    if isinstance(first, str):
        return Counter(values).most_common(1)[0][0]
    if isinstance(first, int):
        return round(np.mean(values))
    if isinstance(first, float):
        return float(np.mean(values))
    if isinstance(first, tuple):
        return tuple(_mean(parts) for parts in zip(*values, strict=True))
    if isinstance(first, dict):
        common = [key for key in first if all(key in value for value in values)]
        return {key: _mean([value[key] for value in values]) for key in common}
    assert isinstance(first, msgspec.Struct), f"no mean of {type(first).__name__}"
    names = first.__struct_fields__
    return type(first)(**{name: _mean([getattr(value, name) for value in values]) for name in names})


def _seed(seed: int, one: Comparison) -> SeedResult:
    return SeedResult(
        seed=seed,
        aiq={name: router.aiq for name, router in one.routers.items()},
        apgr={name: router.pair.apgr if router.pair else None for name, router in one.routers.items()},
        zero_router_aiq=one.baselines.zero_router.aiq,
        recommended=one.recommended.router,
        recommended_aiq=one.recommended.aiq,
        task_means=one.details.task_means,
    )
