"""`Said`: what one contestant answered to one held row, how good it was and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from suffice.distillation.flywheel.rows import Row, Sample
from suffice.errors import DataError
from suffice.types import FloatArray

ANSWERS: Final = "answers.jsonl"
TEACHER: Final = "teacher"
STUDENT: Final = "student"
_HOUR_S: Final = 3600


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `answers.jsonl`."""

    who: str
    """"teacher", "student" or a rung of the baseline."""
    id: str
    """Of the row."""
    part: str
    """"validation" or "test"."""
    text: str
    quality: float | None = None
    """In [0, 1], against the reference (or the teacher's label, where there is no gold); None: unknown."""
    agrees: float | None = None
    """1 where it says what the teacher says."""
    confidence: float | None = None
    """In [0, 1]: how sure it is itself."""
    usd: float | None = None
    latency_s: float | None = None


def read_said(path: Path) -> list[Said]:
    """All lines of a file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=Said) for line in lines if line.strip()]
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"no answers: {error}", file=str(path)) from error


def table(said: Iterable[Said], part: str, rows: Sequence[Row]) -> dict[str, list[Said]]:
    """By contestant, an answer for each row, in the order of `rows`; one that lacks any is left out."""
    found: dict[str, dict[str, Said]] = {}
    for one in said:
        if one.part == part:
            found.setdefault(one.who, {})[one.id] = one
    ids = [row.id for row in rows]
    return {
        who: [own[name] for name in ids] for who, own in found.items() if all(name in own for name in ids)
    }


def column(said: Sequence[Said], field: str) -> FloatArray:
    """(n,) of one field, NaN where it is not known."""
    values = (getattr(one, field) for one in said)
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def cost_usd(cpu_s: float, usd_per_cpu_hour: float | None) -> float | None:
    """Of CPU seconds at a stated price."""
    return None if usd_per_cpu_hour is None else cpu_s * usd_per_cpu_hour / _HOUR_S


def teachers(rows: Sequence[Row]) -> list[tuple[Row, str, Mapping[str, float | None]]]:
    """What the teacher said of each held row, usable or not: its cost is that of all its samples."""
    return [
        (row, _said(row), {"usd": _total(row.samples), "latency_s": _longest(row.samples)})
        for row in rows
        if row.label or row.samples
    ]


def _said(row: Row) -> str:
    """Its label, unless gold stands there; where it failed, what it said instead of an answer."""
    if row.label and (row.judged_by != "gold" or not row.samples):
        return row.label
    return row.samples[int(row.meta.get("sample", 0))].text


def _total(samples: Sequence[Sample]) -> float | None:
    costs = [one.cost_usd for one in samples]
    known = [cost for cost in costs if cost is not None]
    return float(sum(known, Decimal(0))) if costs and len(known) == len(costs) else None


def _longest(samples: Sequence[Sample]) -> float | None:
    return max((one.latency_s for one in samples if one.latency_s is not None), default=None)
