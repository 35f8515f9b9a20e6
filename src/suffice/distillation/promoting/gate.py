"""The gate: may a student take its teacher's place, judged on rows that both answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from suffice.errors import DataError
from suffice.metrics import paired_lower_bound
from suffice.types import FloatArray


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says, and by which figures."""

    passes: bool
    why: str
    """In one sentence."""
    n: int
    """Rows."""
    quality: float
    teacher: float
    difference: float
    """Mean quality of the student less that of the teacher."""
    low: float
    """Its lower bound, one-sided at 1 - alpha."""
    margin: float
    alpha: float
    discordant: float
    """Share of rows on which the two differ."""
    baseline: str | None = None
    """The best one, by its mean; None: there was none to be above."""
    baseline_quality: float | None = None
    baseline_low: float | None = None
    """Lower bound of student less baseline."""


def judge(
    student: ArrayLike,
    teacher: ArrayLike,
    baselines: Mapping[str, ArrayLike] | None = None,
    *,
    margin: float,
    alpha: float = 0.05,
    least: int = 100,
    clusters: Sequence[str] | None = None,
) -> Verdict:
    """Passes where it is surely not worse than the teacher by more than the margin, and surely better than
    the best baseline.

    Parameters
    ----------
    student, teacher : shape (n,), quality in [0, 1] on the same held rows
    baselines : likewise, by name: what could be had without this training. The best by its mean counts; the
        choice among several makes the second test a little stricter than it says, never laxer
    margin : in [0, 1)
    alpha : of each of the two tests; a student that fails either is stopped
    least : with fewer rows nothing passes
    clusters : see `paired_lower_bound`

    Raises
    ------
    DataError
        If lengths differ, there is no row, or a value is NaN or out of [0, 1].
    """
    own, other = _quality(student, "student"), _quality(teacher, "teacher")
    rungs = {name: _quality(values, name) for name, values in (baselines or {}).items()}
    for name, values in {"teacher": other, **rungs}.items():
        if len(values) != len(own):
            raise DataError(f"{len(own)} rows of the student, {len(values)} of {name}: they must be the same")
    difference = own - other
    low = paired_lower_bound(difference, alpha=alpha, clusters=clusters)
    best = max(rungs, key=lambda name: float(rungs[name].mean()), default=None)
    above = None if best is None else paired_lower_bound(own - rungs[best], alpha=alpha, clusters=clusters)
    return Verdict(
        passes=len(own) >= least and low > -margin and (above is None or above > 0),
        why=_why(len(own), least, low, margin, best, above),
        n=len(own),
        quality=float(own.mean()),
        teacher=float(other.mean()),
        difference=float(difference.mean()),
        low=low,
        margin=margin,
        alpha=alpha,
        discordant=float((difference != 0).mean()),
        baseline=best,
        baseline_quality=None if best is None else float(rungs[best].mean()),
        baseline_low=above,
    )


def _why(n: int, least: int, low: float, margin: float, best: str | None, above: float | None) -> str:
    if n < least:
        return f"{n} rows are too few to judge by: at least {least} are needed"
    if low <= -margin:
        return (
            f"it may be worse than the teacher by {-low:.1%}, more than the margin of {margin:.1%}: more "
            "training records, or a bigger student"
        )
    said = f"at most {-low:.1%} worse than the teacher" if low < 0 else f"at least {low:.1%} better"
    if above is not None and above <= 0:
        return f"{said}, but not surely better than the baseline {best!r} ({above:+.1%} at least): take that"
    return said if best is None else f"{said}, and better than {best!r} by at least {above:.1%}"


def _quality(values: ArrayLike, name: str) -> FloatArray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not ((found >= 0) & (found <= 1)).all():
        raise DataError(f"qualities of {name}: wanted at least one number in [0, 1], none unknown")
    return found
