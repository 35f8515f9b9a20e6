"""A known-answers test as rows of text: one line per signal."""

from __future__ import annotations

from typing import Final

from suffice.evaluation.known_answers import BASELINE, COMBINED, N_BINS, KnownAnswers, SignalLine
from suffice.reports.table import MARKS, NONE

HEAD: Final = (
    "signal",
    "n",
    "acc",
    "conf",
    "gap",
    "ECE",
    "±",
    "Brier",
    "AUROC",
    "gain",
    "PRR",
    "cov90",
    "calls",
    "tok",
)
HELD_HEAD: Final = ("signal", "n", "ECE", "debiased", "p", "Brier", "AUROC", "calibrators")


def rows(found: KnownAnswers) -> list[tuple[str, ...]]:
    """As the signals come, uncalibrated; `combined` on answers that it has not learnt from."""
    return [_row(line) for line in found.lines]


def held_rows(found: KnownAnswers) -> list[tuple[str, ...]]:
    """Calibrated on one half of the answers, judged on the other, both ways round."""
    return [_held_row(line) for line in found.lines]


def notes(found: KnownAnswers) -> list[str]:
    """What the columns mean, and what was left out."""
    columns = (
        f"acc: share of right answers. conf: mean confidence; gap: conf less acc. ECE: {N_BINS} bins of "
        "equal width; ±: half of its 95 % interval. gain: AUROC less that of sequence probability "
        f"({BASELINE}) on the same answers: ▲ better, ▼ worse, · within chance (95 %, paired). cov90: "
        "share of answers kept at 90 % accuracy. calls, tokens: per query, the answer included. debiased: "
        "ECE less what chance puts into small bins; p: of Spiegelhalter's test, small where these are no "
        "probabilities."
    )
    said = [
        columns,
        f"{COMBINED}: learnt on one half of the answers, judged on the other, both ways round.",
    ]
    lines = {line.signal for line in found.lines}
    for name, reasons in found.missing.items():
        if name not in lines:
            reason, n = next(iter(reasons.items()))
            said.append(f"{name}: none ({reason}; {n:,} answers)")
    if found.failed:
        said.append(f"{found.failed:,} questions have no answer or no score, and count nowhere.")
    return said


def _row(line: SignalLine) -> tuple[str, ...]:
    spread = (line.ece_ci[1] - line.ece_ci[0]) / 2
    gain = NONE if line.gain is None else f"{_three(line.gain.gain, '+')} {MARKS[line.gain.verdict]}"
    return (
        line.signal,
        f"{line.n:,}",
        _short(line.accuracy),
        _short(line.mean_confidence),
        _short(line.gap, "+"),
        _three(line.ece),
        _short(spread),
        _three(line.brier),
        _three(line.auroc),
        gain,
        _short(line.prr),
        _short(line.coverage_at_90),
        f"{line.n_calls:.3g}",
        NONE if line.n_tokens is None else f"{line.n_tokens:,.0f}",
    )


def _held_row(line: SignalLine) -> tuple[str, ...]:
    held = line.held_out
    return (
        line.signal,
        f"{held.n:,}",
        _three(held.ece),
        _three(held.debiased_ece),
        NONE if held.spiegelhalter_p is None else f"{held.spiegelhalter_p:.2g}",
        _three(held.brier),
        _three(held.auroc),
        ", ".join(dict.fromkeys(held.calibrators)),
    )


def _three(value: float | None, sign: str = "") -> str:
    """Three digits after the point, without the 0 before it."""
    return NONE if value is None else f"{value:{sign}.3f}".replace("0.", ".", 1)


def _short(value: float | None, sign: str = "") -> str:
    """Two digits after the point, without the 0 before it."""
    return NONE if value is None else f"{value:{sign}.2f}".replace("0.", ".", 1)
