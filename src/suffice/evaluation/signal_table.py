"""Signals of many answers as columns, beside how right the answers were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.plans.probes import Effort, Facts, Known, effort, read_all, whole_effort
from suffice.plans.probes.meaning import Meaning
from suffice.protocols import Embedder
from suffice.types import FloatArray

RIGHT: Final = 0.5
"""A graded answer of at least this quality counts as right."""


class SignalTable(msgspec.Struct, frozen=True, kw_only=True):
    """n answers."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    correct: FloatArray
    """(n,): 1 or 0."""
    confidence: Mapping[str, FloatArray]
    """Signal -> (n,), NaN where it cannot be had."""
    missing: Mapping[str, Mapping[str, int]]
    """Signal -> reason -> answers without it for that reason, most first."""
    effort: Mapping[str, Sequence[Effort]]
    """Signal -> what it took for each answer that has it."""
    whole_effort: Sequence[Effort]
    """(n,): what all probes of the signals took together."""


def tabulate(
    known: Sequence[Known],
    names: Sequence[str],
    *,
    meaning: Meaning | None = None,
    embedder: Embedder | None = None,
    on_step: Callable[[int], None] = lambda done: None,
) -> SignalTable:
    """Read the signals from the evidence.

    Parameters
    ----------
    names : of signals, each once
    meaning, embedder : as `Facts` takes them
    """
    found = {name: np.full(len(known), np.nan) for name in names}
    missing: dict[str, Counter[str]] = {name: Counter() for name in names}
    efforts: dict[str, list[Effort]] = {name: [] for name in names}
    for i, one in enumerate(known):
        for name, reading in read_all(Facts(one.evidence, meaning, embedder), names).items():
            if reading.confidence is None:
                missing[name][reading.reason] += 1
            else:
                found[name][i] = reading.confidence
                efforts[name].append(effort(name, one.evidence))
        on_step(i + 1)
    return SignalTable(
        ids=tuple(one.evidence.query_id for one in known),
        groups=tuple(one.group for one in known),
        correct=np.array([one.quality >= RIGHT for one in known], dtype=np.float64),
        confidence=found,
        missing={name: dict(reasons.most_common()) for name, reasons in missing.items()},
        effort=efforts,
        whole_effort=[whole_effort(names, one.evidence) for one in known],
    )
