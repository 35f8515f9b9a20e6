"""Keep what the student is sure of, send the rest to the teacher: a cascade with a promise."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np

from suffice.calibration.guarantee import ChainCertificate
from suffice.cascades import play
from suffice.cascades.stages import Stage
from suffice.cascades.threshold import ConfidenceCascade
from suffice.distillation.promoting.paired import SIGNAL, Paired
from suffice.types import BoolArray, FloatArray

_LEAST_TO_CALIBRATE: Final = 100


@dataclass(frozen=True, eq=False)
class Deferral:
    """The rule, and the paper that its threshold is written on."""

    cascade: ConfidenceCascade
    certificate: ChainCertificate | None
    """None: nothing is promised, the student answers whatever it says of itself."""

    @property
    def threshold(self) -> float | None:
        """On the (calibrated) confidence; None: nothing passed, and all goes to the teacher."""
        cuts = (0.0,) if self.certificate is None else self.certificate.thresholds
        return None if cuts is None else cuts[0]


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the cascade did on rows that had no part in making it."""

    n: int
    kept: float
    """Share that the student answers."""
    quality: float
    usd_per_1k: float | None
    teacher_usd_per_1k: float | None
    cost_share: float | None
    """Of the teacher's cost."""


def certified(
    student: str,
    teacher: str,
    calibration: Paired,
    *,
    epsilon: float,
    delta: float = 0.1,
    promise: str = "mean-drop",
    validation: Paired | None = None,
) -> Deferral:
    """The cheapest threshold that keeps the promise against the teacher; see docs/confidence.md.

    Parameters
    ----------
    student, teacher : names in the panel
    calibration : rows that neither the student nor anything else was fitted to
    epsilon : what the promise allows, such as a mean drop of 0.02
    delta : the chance that the promise is wrong
    validation : other rows, to which a calibrator of the confidence is fitted where there are 100 or more;
        fewer: the student's own probabilities count as they come

    Raises
    ------
    DataError, ConfigError
        If a value is out of its range.
    """
    is_fitted = validation is not None and len(validation) >= _LEAST_TO_CALIBRATE
    rule = ConfidenceCascade(signal=SIGNAL, arms=(student, teacher), calibrator="auto" if is_fitted else None)
    rows = calibration.recorded(student, teacher)
    learnt = validation.recorded(student, teacher) if validation is not None and is_fitted else rows
    rule.fit(learnt, value_usd=1.0)  # its thresholds are replaced at once; what stays is the calibrator
    certificate = rule.certify(rows, promise=promise, epsilon=epsilon, delta=delta)
    return Deferral(rule, certificate)


def alone(student: str, teacher: str, rows: Paired) -> Deferral:
    """The student answers everything; the teacher where it fails.

    Parameters
    ----------
    rows : any; nothing is learnt from them
    """
    rule = ConfidenceCascade(signal=SIGNAL, arms=(student, teacher))
    rule.fit(rows.recorded(student, teacher), value_usd=1.0)
    rule.stages_ = (Stage((0.0,), (True, False)),)
    return Deferral(rule, None)


def served(deferral: Deferral, rows: Paired) -> tuple[FloatArray, BoolArray, Served]:
    """(n,) quality of what the cascade answers, (n,) whether the student did, and the figures."""
    names = deferral.cascade.arms
    played = play(deferral.cascade, rows.recorded(*names))
    is_kept: BoolArray = played.arm == 0
    paid, dear = _mean(rows.student_usd + np.where(is_kept, 0.0, rows.teacher_usd)), _mean(rows.teacher_usd)
    return (
        played.quality,
        is_kept,
        Served(
            n=len(rows),
            kept=float(is_kept.mean()),
            quality=float(played.quality.mean()),
            usd_per_1k=None if paid is None else 1000 * paid,
            teacher_usd_per_1k=None if dear is None else 1000 * dear,
            cost_share=None if paid is None or not dear else paid / dear,
        ),
    )


def parted(rows: Paired, share: float, seed: int = 0) -> tuple[BoolArray, BoolArray]:
    """(n,) rows that calibrate, and the others, which judge; near duplicates stand on one side.

    Parameters
    ----------
    share : of the clusters, that calibrate
    """
    draws = [
        int.from_bytes(blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()) / 2**64
        for group in rows.groups()
    ]
    calibrates: BoolArray = np.array(draws) < share
    return calibrates, ~calibrates


def _mean(values: FloatArray) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())
