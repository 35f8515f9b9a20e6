"""The smallest parts of a result: points, single models, differences."""

from __future__ import annotations

from typing import Literal

import msgspec

Measure = Literal["aiq", "quality", "apgr"]
Verdict = Literal["better", "within chance", "worse"]


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the utility policy."""

    value_usd: float | None
    """What a right answer was worth; null is infinity."""
    cost_usd_per_1k: float | None
    quality: float


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """How well a router ranks queries for a strong and a weak model; all are shares."""

    apgr: float
    cpt50: float
    cpt80: float


class CostQuality(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline that is one point."""

    quality: float
    cost_usd_per_1k: float | None


class SingleModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model asked for everything."""

    model: str
    quality: float
    cost_usd_per_1k: float | None


class Significance(msgspec.Struct, frozen=True, kw_only=True):
    """A paired difference, with its 95 % interval over resampled queries."""

    measure: Measure
    against: str
    """What it is compared with: "zero router", "chance" or a model."""
    gain: float
    """Above 0: the router is better."""
    ci: tuple[float, float]
    """95 %, two-sided."""
    lower_95: float
    """What the gain exceeds with 95 % confidence (one-sided)."""
    p_value: float
    """Two-sided."""
    verdict: Verdict
    """"better" and "worse" where the interval excludes 0."""
