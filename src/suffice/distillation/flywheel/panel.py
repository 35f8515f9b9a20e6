"""The models of a project's panel, and what may be learnt from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from suffice.distillation.flywheel.project import Project
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.config import ModelConfig
    from suffice.protocols import Model


def entries(project: Project) -> dict[str, ModelConfig]:
    """The panel's models by name, as they are configured.

    Raises
    ------
    ConfigError
        If there is no such file or it is wrong.
    """
    from suffice import config

    return {entry.name: entry for entry in config.load(project.config_path).models}


def check_may_train(project: Project, names: Sequence[str]) -> None:
    """Whether the terms of these models let another model be trained on what they say.

    Raises
    ------
    ConfigError
        If a model is not in the panel, its terms forbid it, or nobody has said.
    """
    known = entries(project)
    for name in names:
        if name not in known:
            raise ConfigError(f"{name!r} is not in the panel of {project.config_path}; it has {_all(known)}")
        allowed = known[name].may_train_on_output
        if allowed is None:
            raise ConfigError(
                f"nobody has said whether the terms of {name!r} let a model be trained on its answers: read "
                f"them, and write `may_train_on_output: true` (or false) beside it in {project.config_path}"
            )
        if not allowed:
            raise ConfigError(
                f"the terms of {name!r} do not let a model be trained on its answers "
                f"(may_train_on_output: false in {project.config_path}): take another teacher"
            )


@asynccontextmanager
async def opened(project: Project, names: Sequence[str]) -> AsyncIterator[dict[str, Model]]:
    """These models of the panel, ready to be asked.

    Raises
    ------
    ConfigError
        If one is not in the panel.
    """
    from suffice import build, config
    from suffice.providers.http import HttpClient

    settings = config.load(project.config_path)
    known = [entry.name for entry in settings.models]
    for name in names:
        if name not in known:
            raise ConfigError(f"{name!r} is not in the panel of {project.config_path}; it has {_all(known)}")
    http = HttpClient()
    made = build.make_models(settings, http)
    try:
        yield {name: made[name] for name in names}
    finally:
        for model in made.values():
            await model.close()
        await http.close()


def source(project: Project, *names: str | None) -> Mapping[str, str]:
    """For `Stage.sources`: the panel's file, if one of these models is asked."""
    return {"config": project.config} if any(names) else {}


def _all(names: Sequence[str] | dict[str, ModelConfig]) -> str:
    return ", ".join(names) or "none"
