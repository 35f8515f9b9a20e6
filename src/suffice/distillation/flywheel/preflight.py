"""What can be known of a project before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from suffice import embedders
from suffice.distillation.flywheel import panel, stages
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.work import Stage
from suffice.errors import ConfigError, UnknownName

_MODELS: Final = (("judge", "model"), ("baseline", "model"), ("evaluate", "judge"), ("promote", "judge"))
"""Sections and their settings that name a model of the panel; `evaluate.panel` may get there later."""
_STUDENTS: Final = frozenset({"student", "local"})


def check(project: Project, stage: Stage) -> None:
    """Whether a stage's settings can be used.

    Raises
    ------
    ConfigError, UnknownName, MissingDependency
        What the stage would fail with, or the first setting that names no model of the panel.
    """
    settings = project.settings(stage.name, stage.settings)
    for section, key in _MODELS:
        name = getattr(settings, key, None) if section == stage.name else None
        if name is not None and name not in (known := panel.entries(project)):
            raise project.wrong(
                stage.name,
                key,
                f"{name!r} is not in the panel of {project.config_path}; it has {', '.join(known)}",
            )
    if (embedder := getattr(settings, "embedder", None)) is not None:
        try:
            embedders.registry.check(embedder, getattr(settings, "embedder_params", {}))
        except (ConfigError, UnknownName) as error:
            raise project.wrong(stage.name, "embedder", str(error)) from None
    if stage.check is not None:
        stage.check(project)


def check_use(project: Project, name: str) -> None:
    """Whether what a stage builds upon may still be used: terms are withdrawn at times.

    Raises
    ------
    ConfigError
        If the result of this stage, or of one that it needs, may not.
    """
    for stage in _with_needs(name):
        if stage.may_use is not None:
            stage.may_use(project)


def check_name(project: Project) -> None:
    """Whether the panel leaves the student's name free.

    Raises
    ------
    ConfigError
        If a model that is no student has it.
    """
    if not project.config_path.exists():
        return
    taken = panel.entries(project).get(project.name)
    is_hosted = project.section("evaluate").get("panel") == project.name
    if taken is not None and taken.provider not in _STUDENTS and not is_hosted:
        said = (
            f"{project.name!r} is a model of {project.config_path} already: call the student something else"
        )
        raise ConfigError(said, key="name")


def _with_needs(name: str) -> Iterator[Stage]:
    stage = stages.get(name)
    for one in stage.needs:
        yield from _with_needs(one)
    yield stage
