"""Routers that ran: what they did on the test queries, and what cross-validation said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from suffice.errors import ConfigError
from suffice.evaluation.choosing import Entrants
from suffice.evaluation.comparison import RouterResult
from suffice.evaluation.ground import Ground
from suffice.evaluation.measuring import Measured, measure, router_result
from suffice.evaluation.recommend import Predictions
from suffice.evaluation.significance import Drawn, Resampled
from suffice.evaluation.trials import Failed, Tried


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A router that ran."""

    tried: Tried
    """On the test queries."""
    folds: tuple[Tried, ...]
    """Of cross-validation."""
    measured: Measured
    validated: Measured
    """By cross-validation on the training queries."""
    value_usd: float | None
    """That cross-validation chose."""
    drawn: Drawn | None
    result: RouterResult


def entries_of(
    ground: Ground,
    chosen: Entrants,
    predictions: Predictions,
    resampled: Resampled,
    found: Mapping[str, Mapping[Any, Tried | Failed]],
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Routers that ran, and why others could not.

    Raises
    ------
    ConfigError, DataError
        What a router raised that the user named, or where none is left.
    """
    entries: dict[str, Entry] = {}
    skipped: dict[str, str] = {}
    for name in chosen.names:
        folds = [one for (router, _), one in found["folds"].items() if router == name]
        tried = [found["test"][name], *folds]
        failed = next((one for one in tried if isinstance(one, Failed)), None)
        if failed is None:
            held = [one for one in tried if isinstance(one, Tried)]
            entries[name] = _entry(ground, predictions, resampled, held)
        elif failed.kind == "MissingDependency" or name in chosen.by_all:
            skipped[name] = failed.message
        else:
            raise failed.raised()
    if not entries:
        raise ConfigError(f"no router could run: {'; '.join(skipped.values())}")
    return entries, skipped


def _entry(ground: Ground, predictions: Predictions, resampled: Resampled, tried: Sequence[Tried]) -> Entry:
    """From the scores on the test queries, and those on every fold."""
    first, *folds = tried
    measured = measure(ground.truth, first.scores, ground.costs, ground.pair)
    validated = predictions.measured(folds)
    drawn = resampled.draw(measured.curve)
    assert first.effort is not None
    return Entry(
        tried=first,
        folds=tuple(folds),
        measured=measured,
        validated=validated,
        value_usd=predictions.value_usd(validated),
        drawn=drawn,
        result=router_result(
            ground.truth,
            measured,
            fit_s=first.fit_s,
            decision_us=first.effort.decision_us_p50,
            aiq_ci=resampled.aiq_interval(drawn),
        ),
    )
