"""The stages by name, in their order.

A stage of ours is a line in `registry`; a package adds one by the entry point `suffice.distillation_stages`
(its name there, `module:STAGE`), and `suffice distill run` runs it after those of `ORDER`.
"""

from __future__ import annotations

from typing import Final

from suffice.distillation.flywheel.work import Stage
from suffice.errors import ConfigError
from suffice.registry import Registry

ORDER: Final = ("collect", "judge", "curate", "baseline", "train", "evaluate", "promote")
_HERE: Final = "suffice.distillation"
registry: Final = Registry(
    "stage",
    "suffice.distillation_stages",
    {
        "collect": f"{_HERE}.collecting.stage:STAGE",
        "judge": f"{_HERE}.judging.stage:STAGE",
        "curate": f"{_HERE}.curating.stage:STAGE",
        "baseline": f"{_HERE}.baselines.stage:STAGE",
        "train": f"{_HERE}.trainers.stage:STAGE",
        "evaluate": f"{_HERE}.assessing.stage:STAGE",
        "promote": f"{_HERE}.promoting.stage:STAGE",
    },
)


def available() -> tuple[str, ...]:
    """Names of all stages, in the order of `run`."""
    known = registry.available()
    return (*(name for name in ORDER if name in known), *(name for name in known if name not in ORDER))


def get(name: str) -> Stage:
    """A stage by name.

    Raises
    ------
    UnknownName
        If there is none.
    ConfigError
        If what has that name is no stage.
    """
    found = registry.get(name)
    if not isinstance(found, Stage):
        raise ConfigError(f"{name!r} is no suffice.distillation.flywheel.Stage")
    return found
