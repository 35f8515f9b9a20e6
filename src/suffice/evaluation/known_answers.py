"""The known-answers test: how far each signal can be trusted, on questions whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np

from suffice.evaluation.auroc_gain import AurocGain, auroc_gain
from suffice.evaluation.held_out import calibrated, combined, halves
from suffice.evaluation.signal_table import SignalTable
from suffice.metrics import (
    aurc,
    auroc,
    bootstrap_ci,
    brier_score,
    coverage_at_accuracy,
    debiased_calibration_error,
    expected_calibration_error,
    prediction_rejection_ratio,
    spiegelhalter_test,
)
from suffice.plans.probes import Effort
from suffice.types import FloatArray

BASELINE: Final = "sequence_log_likelihood"
"""Sequence probability: what every other signal has to beat."""
COMBINED: Final = "combined"
N_BINS: Final = 15
TARGET_ACCURACY: Final = 0.9
_LEAST: Final = 10
"""Fewer answers than this have no figures: intervals would say nothing."""
_RESAMPLES: Final = 500


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """A signal after calibration on one half of the answers, judged on the other half, both ways round."""

    calibrators: tuple[str, ...]
    n: int
    mean_confidence: float
    ece: float
    debiased_ece: float
    """ECE less its bias, by Kumar et al. (2019), "l1"."""
    spiegelhalter_p: float | None
    """Small where the confidences cannot be probabilities; None where nothing can be tested."""
    brier: float
    auroc: float | None


class SignalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One signal, as it comes and calibrated; None where a figure does not exist."""

    signal: str
    n: int
    """Answers that have it."""
    accuracy: float
    mean_confidence: float
    gap: float
    """Mean confidence less accuracy: above 0 is overconfident."""
    ece: float
    ece_ci: tuple[float, float]
    brier: float
    auroc: float | None
    auroc_ci: tuple[float, float] | None
    gain: AurocGain | None
    """AUROC less the baseline's, on answers that have both."""
    prr: float | None
    aurc: float
    coverage_at_90: float
    """Largest share of answers that a threshold keeps at 90 % accuracy, chosen on these answers."""
    n_calls: float
    """Of models per query, that of the answer included."""
    n_tokens: float | None
    cost_usd: float | None
    held_out: HeldOut


class KnownAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """The whole test."""

    model: str
    n: int
    accuracy: float
    lines: tuple[SignalLine, ...]
    """By descending AUROC; `combined`, where there is one, is among them."""
    missing: Mapping[str, Mapping[str, int]]
    """Signal -> reason -> answers."""
    best: str | None
    """The single signal of the highest AUROC."""
    failed: int = 0
    """Questions without an answer or a score."""
    spent_usd: str | None = None

    def line(self, signal: str) -> SignalLine | None:
        """Of a signal; None where it has none."""
        return next((line for line in self.lines if line.signal == signal), None)


def known_answers(
    table: SignalTable,
    model: str,
    *,
    seed: int = 0,
    failed: int = 0,
    spent_usd: Decimal | None = None,
    on_step: Callable[[str], None] = lambda signal: None,
) -> KnownAnswers:
    """Every figure of every signal; calibrations are learnt on one half and judged on the other.

    Signals that fewer than ten answers have are left out.

    Parameters
    ----------
    table : of `with_combined` for a line of all signals together
    seed : of the halves
    failed, spent_usd : of the asking
    """
    part = halves(table.groups, seed=seed)
    columns = _plenty(table)
    lines = []
    for name, values in columns.items():
        on_step(name)
        lines.append(_line(name, values, table, columns.get(BASELINE), part, table.effort[name], seed))
    lines.sort(key=lambda line: (-(line.auroc or 0.0), line.signal))
    single = [line.signal for line in lines if line.signal != COMBINED and line.auroc is not None]
    return KnownAnswers(
        model=model,
        n=len(table.ids),
        accuracy=float(table.correct.mean()) if len(table.ids) else math.nan,
        lines=tuple(lines),
        missing={name: reasons for name, reasons in table.missing.items() if reasons},
        best=single[0] if single else None,
        failed=failed,
        spent_usd=None if spent_usd is None else str(spent_usd),
    )


def with_combined(table: SignalTable, *, seed: int = 0) -> SignalTable:
    """The same with `combined`, learnt on one half of the answers for the other, both ways round.

    Without two signals that ten answers have, there is nothing to combine.
    """
    columns = _plenty(table)
    if len(columns) < 2:
        return table
    learnt = combined(columns, table.correct, halves(table.groups, seed=seed), seed=seed)
    has_it = ~np.isnan(learnt)
    return msgspec.structs.replace(
        table,
        confidence={**table.confidence, COMBINED: learnt},
        effort={
            **table.effort,
            COMBINED: [one for one, there in zip(table.whole_effort, has_it, strict=True) if there],
        },
    )


def _plenty(table: SignalTable) -> dict[str, FloatArray]:
    """The signals that can be judged."""
    return {name: values for name, values in table.confidence.items() if (~np.isnan(values)).sum() >= _LEAST}


def _line(
    name: str,
    values: FloatArray,
    table: SignalTable,
    baseline: FloatArray | None,
    part: Any,
    efforts: Sequence[Effort],
    seed: int,
) -> SignalLine:
    there = ~np.isnan(values)
    sure, right = values[there], table.correct[there]
    is_mixed = right.min() != right.max()
    mean, accuracy = float(sure.mean()), float(right.mean())
    gain = None if baseline is None or name == BASELINE else auroc_gain(values, baseline, table.correct)
    return SignalLine(
        signal=name,
        n=len(sure),
        accuracy=accuracy,
        mean_confidence=mean,
        gap=mean - accuracy,
        ece=expected_calibration_error(sure, right, N_BINS),
        ece_ci=_interval(expected_calibration_error, sure, right, n_bins=N_BINS),
        brier=brier_score(sure, right),
        auroc=auroc(sure, right) if is_mixed else None,
        auroc_ci=_interval(auroc, sure, right) if is_mixed else None,
        gain=gain,
        prr=prediction_rejection_ratio(sure, right) if is_mixed else None,
        aurc=aurc(sure, right),
        coverage_at_90=coverage_at_accuracy(sure, right, TARGET_ACCURACY),
        n_calls=_mean([one.n_calls for one in efforts]) or 0.0,
        n_tokens=_mean([one.n_tokens for one in efforts]),
        cost_usd=_mean([None if one.cost_usd is None else float(one.cost_usd) for one in efforts]),
        held_out=_held_out(name, values, table.correct, part, seed),
    )


def _held_out(name: str, values: FloatArray, correct: FloatArray, part: Any, seed: int) -> HeldOut:
    repaired, chosen = (
        (values, (COMBINED,)) if name == COMBINED else calibrated(values, correct, part, seed=seed)
    )
    there = ~np.isnan(repaired)
    sure, right = repaired[there], correct[there]
    p = spiegelhalter_test(sure, right).p
    return HeldOut(
        calibrators=chosen,
        n=len(sure),
        mean_confidence=float(sure.mean()),
        ece=expected_calibration_error(sure, right, N_BINS),
        debiased_ece=debiased_calibration_error(sure, right, N_BINS, norm="l1"),
        spiegelhalter_p=None if math.isnan(p) else p,
        brier=brier_score(sure, right),
        auroc=auroc(sure, right) if right.min() != right.max() else None,
    )


def _interval(
    metric: Callable[..., float], sure: FloatArray, right: FloatArray, **kwargs: Any
) -> tuple[float, float]:
    found = bootstrap_ci(metric, sure, right, n=_RESAMPLES, **kwargs)
    return float(found.low), float(found.high)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
