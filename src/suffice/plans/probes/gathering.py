"""All probes for one query: those that build on others after them, the rest side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from suffice.errors import ConfigError, ProviderError
from suffice.plans.probes.base import Caller, Effort, Evidence, Probe, Said
from suffice.protocols import Model
from suffice.types import Query


async def gather(
    model: Model,
    query: Query,
    probes: Sequence[Probe],
    start: Evidence,
    *,
    fields: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
) -> Evidence:
    """What the probes hear. One that fails is noted in `missing`, and stops no other.

    Cancelling cancels the calls under way.

    Parameters
    ----------
    query : as it is sent, instructions and all
    start : who the query is; findings that it has already are kept
    fields : of every request, over a probe's own; None takes one out

    Raises
    ------
    ConfigError
        If a probe builds on one that is not there.
    """
    evidence = start
    for wave in waves(probes, known=start.said):
        callers = [Caller(model, fields or {}, timeout_s) for _ in wave]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_one(probe, caller, query, evidence))
                for probe, caller in zip(wave, callers, strict=True)
            ]
        for probe, task in zip(wave, tasks, strict=True):
            evidence = evidence.with_probe(probe.name, *task.result())
    return evidence


async def _one(
    probe: Probe, caller: Caller, query: Query, so_far: Evidence
) -> tuple[Sequence[Said], str | None, Effort]:
    try:
        said = await probe.ask(caller, query, so_far)
    except ProviderError as error:
        return (), str(error), caller.effort
    return said, "; ".join(dict.fromkeys(caller.failures)) or None, caller.effort


def waves(probes: Sequence[Probe], known: Mapping[str, object]) -> list[list[Probe]]:
    """Probes in the order in which they can ask."""
    left, done, found = list(probes), set(known), []
    while left:
        wave = [probe for probe in left if set(probe.after) <= done]
        if not wave:
            wants = ", ".join(sorted({name for probe in left for name in probe.after} - done))
            raise ConfigError(f"{', '.join(probe.name for probe in left)}: wanted {wants} too")
        found.append(wave)
        done |= {probe.name for probe in wave}
        left = [probe for probe in left if probe.name not in done]
    return found
