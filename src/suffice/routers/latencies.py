"""How long each arm would take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from suffice.outcomes import Outcomes
from suffice.routers.fits import Fit, read_fit, write_fit
from suffice.routers.lengths import LengthPredictor, LengthRegression, query_bytes
from suffice.types import FloatArray, Query

FILE: Final = "latencies.json"


class LatencyFit(Fit, frozen=True, kw_only=True):
    """What is learnt, as it stands in `latencies.json`."""

    seconds: LengthRegression


class LengthLatencyModel:
    """Seconds to the whole answer, regressed on the length of the query."""

    def __init__(self, fit: LatencyFit) -> None:
        self.fit = fit
        self._seconds = LengthPredictor(fit.seconds)

    @property
    def arms(self) -> tuple[str, ...]:
        return self.fit.arms

    def latencies(self, queries: Sequence[Query]) -> FloatArray:
        """(n, K) seconds; NaN for an arm whose latency was never seen."""
        return self._seconds(query_bytes(queries))

    def save(self, directory: Path) -> None:
        """Write `latencies.json` beside the router."""
        write_fit(Path(directory) / FILE, self.fit)


def fit_latency_model(outcomes: Outcomes) -> LengthLatencyModel:
    """Learnt from recorded latencies."""
    n_bytes = query_bytes(outcomes.queries)
    seconds = LengthRegression.learn(n_bytes, outcomes.latency_s)
    return LengthLatencyModel(LatencyFit(arms=tuple(outcomes.arms), seconds=seconds))


def prior_latency_model(arms: Sequence[str]) -> LengthLatencyModel:
    """Before there are any data: unknown for every arm."""
    return LengthLatencyModel(LatencyFit(arms=tuple(arms), seconds=LengthRegression.unknown(len(arms))))


def load_latency_model(directory: Path) -> LengthLatencyModel:
    """The latency model saved beside a router.

    Raises
    ------
    ArtefactError
        If there is none or it is damaged.
    """
    return LengthLatencyModel(read_fit(Path(directory) / FILE, LatencyFit))
