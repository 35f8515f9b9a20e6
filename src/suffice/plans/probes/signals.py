"""Signals read from evidence by name, and what each of them took."""

from __future__ import annotations

from collections.abc import Sequence

from suffice.confidence.base import Reading
from suffice.errors import UnknownName
from suffice.plans.probes.base import Effort, Evidence
from suffice.plans.probes.facts import Absent, Facts, absent
from suffice.plans.probes.sources import COMPARE, JUDGED, SOURCES, Source


def available() -> tuple[str, ...]:
    """Names of all signals, cheapest first."""
    return tuple(SOURCES)


def read(name: str, facts: Facts) -> Reading:
    """One signal; `Unavailable` with the reason where it cannot be had.

    Raises
    ------
    UnknownName
        If there is no such signal.
    """
    try:
        return source(name).read(facts)
    except Absent as error:
        return absent(error)


def read_all(facts: Facts, names: Sequence[str]) -> dict[str, Reading]:
    """By name, as given."""
    return {name: read(name, facts) for name in names}


def source(name: str) -> Source:
    """Where it comes from. Raises UnknownName."""
    if name not in SOURCES:
        raise UnknownName("signal", name, SOURCES)
    return SOURCES[name]


def effort(name: str, evidence: Evidence) -> Effort:
    """What the signal took for this query, the answer itself included."""
    found = source(name)
    total = evidence.effort.get(JUDGED, Effort())
    for probe in _probes(name) or _used(found.any_of, evidence):
        taken = evidence.effort.get(probe, Effort())
        total += _one_call(taken) if found.first_only else taken
    return total


def whole_effort(names: Sequence[str], evidence: Evidence) -> Effort:
    """What all signals took for this query together: a probe that several read counts once."""
    probes = {probe for name in names for probe in (*_probes(name), *source(name).any_of)}
    taken = (evidence.effort.get(probe, Effort()) for probe in sorted(probes | {JUDGED}))
    return sum(taken, Effort())


def _probes(name: str) -> tuple[str, ...]:
    """With the judge's, for signals that compare samples: it took something where it was asked."""
    probes = source(name).probes
    return (*probes, "same_meaning") if name in COMPARE else probes


def _used(any_of: Sequence[str], evidence: Evidence) -> Sequence[str]:
    """The first probe that heard logprobs, else the last one; none where the answer itself is enough."""
    heard = [name for name in any_of if (said := evidence.first(name)) is not None and said.tokens]
    return [name for name in (heard[:1] or any_of[-1:]) if name != JUDGED]


def _one_call(taken: Effort) -> Effort:
    """Of calls that all ask the same, one."""
    n = max(taken.n_calls, 1)
    return Effort(
        n_calls=min(taken.n_calls, 1),
        n_tokens=None if taken.n_tokens is None else round(taken.n_tokens / n),
        cost_usd=None if taken.cost_usd is None else taken.cost_usd / n,
    )
