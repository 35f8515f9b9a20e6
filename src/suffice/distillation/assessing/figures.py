"""The figures of an evaluation: every contestant by itself, and the student against each on the same rows.

References
----------
Wilson (1927), Probable Inference: the interval of a share. McNemar (1947), Note on the Sampling Error of the
Difference Between Correlated Proportions, as the exact binomial test. Efron & Tibshirani (1993), chapter 13:
the paired bootstrap, by clusters of rows that say nearly the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import msgspec
import numpy as np

from suffice.distillation.assessing.answers import STUDENT, TEACHER, Said, column
from suffice.distillation.assessing.slices import Slice, slices
from suffice.distillation.flywheel.rows import Row
from suffice.errors import DataError
from suffice.metrics import (
    aurc,
    expected_calibration_error,
    percentile_interval,
    resample_counts,
    wilson_interval,
)
from suffice.types import FloatArray

_N_RESAMPLES = 2_000
_COVERAGES = tuple(round(0.05 * step, 2) for step in range(21))


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One that answered all rows."""

    quality: float
    interval: tuple[float, float]
    """95 %: Wilson where every answer is right or wrong, else bootstrap."""
    agreement: float | None
    """Share that says what the teacher says, where it gave an answer."""
    usd_per_1k: float | None
    p50_s: float | None
    p95_s: float | None
    ece: float | None = None
    """Expected calibration error of its own confidence, 15 bins."""
    aurc: float | None = None
    """Area under the risk-coverage curve; less is better."""


class Duel(msgspec.Struct, frozen=True, kw_only=True):
    """The student against another, on the same rows."""

    difference: float
    """Mean quality of the student less that of the other."""
    interval: tuple[float, float]
    """95 %, paired bootstrap over clusters."""
    student_only: int
    """Rows on which only the student is right (graded: better)."""
    other_only: int
    p: float
    """Exact McNemar, two-sided."""
    cost_ratio: float | None
    """The student's cost as a share of the other's."""
    speed_up: float | None
    """Median latency of the other over the student's."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the deferral curve: the student answers what it is surest of, the teacher the rest."""

    coverage: float
    """Share that the student answers."""
    threshold: float | None
    """The least confidence among them."""
    quality: float
    usd_per_1k: float | None
    """The student is asked first, always."""


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """`evaluation.json`."""

    n: int
    by_gold: bool
    """False: quality is agreement with the teacher."""
    n_seen: int
    """Test rows marked as seen in training, by the leak report."""
    contestants: dict[str, Contestant]
    duels: dict[str, Duel]
    """Against every other contestant."""
    unseen: dict[str, Duel]
    """The same on rows that were not seen in training; empty where none was seen."""
    deferral: tuple[Kept, ...]
    """Empty without a teacher or confidences."""
    slices: dict[str, tuple[Slice, ...]]
    win_rate: float | None = None
    """Of the student against the teacher, by a judge; ties count half."""
    n_judged: int = 0
    notes: tuple[str, ...] = ()


def assess(
    said: Mapping[str, Sequence[Said]], rows: Sequence[Row], *, by_gold: bool, seed: int = 0
) -> Assessment:
    """All figures.

    Parameters
    ----------
    said : by contestant, an answer for each row; the student's among them
    rows : n held rows, in the same order

    Raises
    ------
    DataError
        If there is no row, no student, or an answer without a grade.
    """
    if not rows or STUDENT not in said:
        raise DataError(f"{len(rows)} held rows, answers of {', '.join(said) or 'nobody'}: none to judge")
    quality = {who: column(own, "quality") for who, own in said.items()}
    for who, values in quality.items():
        if np.isnan(values).any():
            raise DataError(f"{int(np.isnan(values).sum())} of {len(rows)} answers of {who} have no grade")
    clusters = [row.cluster or row.id for row in rows]
    is_seen = np.array([bool(row.meta.get("leak")) for row in rows])
    everything = np.ones(len(rows), np.bool_)
    return Assessment(
        n=len(rows),
        by_gold=by_gold,
        n_seen=int(is_seen.sum()),
        contestants={who: contestant(own, seed) for who, own in said.items()},
        duels=_duels(said, quality, clusters, everything, seed),
        unseen=_duels(said, quality, clusters, ~is_seen, seed) if is_seen.any() and not is_seen.all() else {},
        deferral=_deferral(said, quality),
        slices=slices(rows, said[STUDENT], said.get(TEACHER)),
    )


def contestant(said: Sequence[Said], seed: int = 0) -> Contestant:
    """One by itself."""
    quality, sure = column(said, "quality"), column(said, "confidence")
    n = len(said)
    is_share = bool(np.isin(quality, (0, 1)).all())
    interval = (
        wilson_interval(float(quality.sum()), n) if is_share else _interval(quality, list(range(n)), seed)
    )
    wall = column(said, "latency_s")
    right, is_sure = quality >= 1, not np.isnan(sure).any()
    agreement = column(said, "agrees")
    return Contestant(
        quality=float(quality.mean()),
        interval=interval,
        agreement=_mean(agreement[~np.isnan(agreement)]),
        usd_per_1k=_per_1k(said),
        p50_s=_quantile(wall, 0.5),
        p95_s=_quantile(wall, 0.95),
        ece=expected_calibration_error(sure, right) if is_sure else None,
        aurc=aurc(sure, quality) if is_sure else None,
    )


def duel(student: Sequence[Said], other: Sequence[Said], clusters: Sequence[str], seed: int = 0) -> Duel:
    """The student against another on n rows, at least one."""
    difference = column(student, "quality") - column(other, "quality")
    ahead, behind = int((difference > 0).sum()), int((difference < 0).sum())
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    costs = _per_1k(student), _per_1k(other)
    medians = _quantile(column(student, "latency_s"), 0.5), _quantile(column(other, "latency_s"), 0.5)
    return Duel(
        difference=float(difference.mean()),
        interval=_interval(difference, [numbers[name] for name in clusters], seed),
        student_only=ahead,
        other_only=behind,
        p=mcnemar(ahead, behind),
        cost_ratio=costs[0] / costs[1] if costs[0] is not None and costs[1] else None,
        speed_up=medians[1] / medians[0] if medians[1] is not None and medians[0] else None,
    )


def mcnemar(one: int, other: int) -> float:
    """How surprising it is that discordant pairs fall so unevenly, two-sided, exact.

    Examples
    --------
    >>> mcnemar(42, 16).__round__(4)
    0.0009
    >>> mcnemar(0, 0)
    1.0
    """
    n = one + other
    tail = sum(comb(n, k) for k in range(min(one, other) + 1))
    return min(1.0, float(2 * tail / 2**n))


def _duels(
    said: Mapping[str, Sequence[Said]],
    quality: Mapping[str, FloatArray],
    clusters: Sequence[str],
    chosen: np.ndarray[tuple[int], np.dtype[np.bool_]],
    seed: int,
) -> dict[str, Duel]:
    places = np.flatnonzero(chosen).tolist()

    def of(who: str) -> list[Said]:
        return [said[who][place] for place in places]

    groups = [clusters[place] for place in places]
    return {who: duel(of(STUDENT), of(who), groups, seed) for who in quality if who != STUDENT}


def _interval(values: FloatArray, groups: Sequence[int], seed: int) -> tuple[float, float]:
    """95 % of the mean, whole groups drawn with replacement."""
    sums, sizes = np.bincount(groups, weights=values), np.bincount(groups)
    drawn = [
        (counts @ sums) / np.maximum(counts @ sizes, 1)
        for counts in resample_counts(len(sums), _N_RESAMPLES, seed=seed)
    ]
    return percentile_interval(np.concatenate(drawn))


def _deferral(said: Mapping[str, Sequence[Said]], quality: Mapping[str, FloatArray]) -> tuple[Kept, ...]:
    sure = column(said[STUDENT], "confidence")
    if TEACHER not in said or np.isnan(sure).any():
        return ()
    order = np.argsort(-sure, kind="stable")
    own, theirs = quality[STUDENT][order], quality[TEACHER][order]
    usd, teacher_usd = column(said[STUDENT], "usd").mean(), column(said[TEACHER], "usd")[order]
    found = []
    for coverage in _COVERAGES:
        n = round(coverage * len(sure))
        cost = 1000 * (usd + teacher_usd[n:].sum() / len(sure))
        found.append(
            Kept(
                coverage=n / len(sure),
                threshold=float(sure[order[n - 1]]) if n else None,
                quality=float((own[:n].sum() + theirs[n:].sum()) / len(sure)),
                usd_per_1k=None if np.isnan(cost) else float(cost),
            )
        )
    return tuple(found)


def _mean(values: FloatArray) -> float | None:
    return None if not len(values) or np.isnan(values).any() else float(values.mean())


def _per_1k(said: Sequence[Said]) -> float | None:
    found = _mean(column(said, "usd"))
    return None if found is None else 1000 * found


def _quantile(values: FloatArray, share: float) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if len(known) else None
