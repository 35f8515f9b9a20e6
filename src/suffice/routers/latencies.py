"""How long each arm would take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from suffice.errors import ArtefactError
from suffice.outcomes import Outcomes
from suffice.routers.lengths import LengthPredictor, LengthRegression, query_bytes
from suffice.types import FloatArray, Query

FILE: Final = "latencies.json"


class LatencyFit(msgspec.Struct, frozen=True, kw_only=True):
    """What is learnt, as it stands in `latencies.json`."""

    format: int = 1
    arms: tuple[str, ...]
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
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self.fit), indent=2) + b"\n")


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
    path = Path(directory) / FILE
    try:
        fit = msgspec.json.decode(path.read_bytes(), type=LatencyFit)
        model = LengthLatencyModel(fit)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ArtefactError(f"{path} is no latency model ({error}); train the router again") from error
    if len(fit.seconds.coefficients) != len(fit.arms):
        raise ArtefactError(
            f"{path} has not one row for each of {len(fit.arms)} arms; train the router again"
        )
    return model
