"""A gate of a configuration, with its files read: what decides, and a plan for every strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from suffice import gating, plans
from suffice.errors import ConfigError
from suffice.plans.base import Plan
from suffice.plans.gated import Gated, Scores
from suffice.plans.lookups import NO_RETRIEVAL
from suffice.plans.retrieve import Retrieve
from suffice.protocols import Embedder
from suffice.types import Candidate

if TYPE_CHECKING:
    from suffice.config import GateConfig, PlanConfig

STRATEGIES = (NO_RETRIEVAL, "single", "multi")


def made(
    section: GateConfig,
    own: Plan,
    *,
    path: Callable[[str], Path],
    embedder: Embedder,
    panel: Sequence[Candidate],
) -> Gated:
    """The gate around a pipeline's own plan.

    Raises
    ------
    ConfigError, ArtefactError
        If the gate, its corpus or a file cannot be read, or they do not fit together.
    """
    strategies: dict[str, Plan] = {NO_RETRIEVAL: own}
    for name, plan in (("single", section.single), ("multi", section.multi)):
        strategies[name] = _plan(plan, own, path, embedder, panel)
    if section.path is None:
        rule = gating.create(section.name, **_read(section.params, path)).by_hand(STRATEGIES)
        return Gated(rule, strategies)
    directory = path(section.path)
    return Gated(gating.load_gate(directory), strategies, scores=_scores(directory, embedder))


def _plan(
    wish: PlanConfig,
    own: Plan,
    path: Callable[[str], Path],
    embedder: Embedder,
    panel: Sequence[Candidate],
) -> Plan:
    found: Any = plans.create(wish.name, **wish.params)
    if hasattr(found, "prepare"):
        found.prepare(path=path, embedder=embedder, panel=panel)
    if isinstance(found, Retrieve):
        found.inner = own
    return found  # type: ignore[no-any-return]  # what the registry makes is a plan


def _read(params: Mapping[str, Any], path: Callable[[str], Path]) -> dict[str, Any]:
    """The gate's parameters; `counts` may name a file with a JSON object."""
    read = dict(params)
    file = read.get("counts")
    if isinstance(file, str):
        try:
            read["counts"] = msgspec.json.decode(path(file).read_bytes(), type=dict[str, float])
        except (OSError, msgspec.DecodeError) as error:
            why = f"{path(file)} is no JSON object of names and numbers: {error}"
            raise ConfigError(f"counts: {why}") from None
    return read


def _scores(directory: Path, embedder: Embedder) -> Scores | None:
    """The predictor that was saved with a gate; None where the gate was saved alone."""
    if not (directory / "router").is_dir():
        return None
    from suffice.evaluation.gating import Predictor

    return Predictor.load(directory / "router", embedder=embedder).scores
