"""What a router takes: memory and disk, and time for one decision."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
import numpy as np

from suffice import policies
from suffice.protocols import CostModel, PolicyContext, Router
from suffice.types import Query

_N_TIMED: Final = 200
_N_WARM_UP: Final = 5
_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
_RESETS_PEAK: Final = "5"


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """Beside the seconds of fitting."""

    decision_us_p50: float
    """One query: embedding, scores, predicted costs and policy."""
    decision_us_p95: float
    artefact_kb: float | None
    """All that `save` writes; null for a plug-in that does not save."""
    fit_memory_mb: float | None
    """How far fitting raised the peak of resident memory; Linux only, else null."""


def effort_of(
    router: Router, costs: CostModel | None, queries: Sequence[Query], fit_memory_mb: float | None
) -> Effort:
    """Measured on a trained router.

    Each of up to 200 queries is asked once, so that no cache has seen it.
    """
    taken = 1e6 * np.array(_decision_s(router, costs, queries))
    return Effort(
        decision_us_p50=float(np.median(taken)),
        decision_us_p95=float(np.quantile(taken, 0.95)),
        artefact_kb=_artefact_kb(router),
        fit_memory_mb=fit_memory_mb,
    )


def peak_memory_mb(*, reset: bool = False) -> float | None:
    """The highest resident memory of this process since the last reset; None where it cannot be had."""
    try:
        if reset:
            _CLEAR.write_text(_RESETS_PEAK)
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    except OSError:
        return None
    return None


def _decision_s(router: Router, costs: CostModel | None, queries: Sequence[Query]) -> list[float]:
    policy = policies.create("utility", value_usd=0.01)
    context = PolicyContext(arms=router.arms)
    unknown = np.full((1, len(router.arms)), np.nan)
    taken = []
    for query in queries[: _N_WARM_UP + _N_TIMED]:
        start = perf_counter()
        scores = router.scores([query])
        predicted = unknown if costs is None else costs.costs([query])
        policy.choose(scores, predicted, unknown, context)
        taken.append(perf_counter() - start)
    return taken[_N_WARM_UP:] or taken


def _artefact_kb(router: Router) -> float | None:
    if not hasattr(router, "save"):
        return None
    with tempfile.TemporaryDirectory(prefix="suffice-") as scratch:
        router.save(Path(scratch))
        files = [path for path in Path(scratch).rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files) / 1024
