"""`distill.yaml` to a `Project`: what is taught to whom, and the settings of every stage.

A section of the file that bears the name of a stage holds that stage's settings; each stage says with a
struct of its own which there are. Misspelt keys are errors with their line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from suffice import _yaml
from suffice.errors import ConfigError
from suffice.types import Query

FILE: Final = "distill.yaml"
_VERSION: Final = 1
S = TypeVar("S", bound=msgspec.Struct)

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every stage's settings: a misspelt key is an error."""


class Task(Settings, frozen=True, kw_only=True):
    """What the student is to do."""

    kind: Literal["classify", "extract", "generate"] = "classify"
    instruction: str = ""
    """Said to the teacher (and to a student that reads) before each query, as the system message."""
    labels: tuple[str, ...] = ()
    """Of a classification: all there are."""
    metric: str | None = None
    """How an answer is compared with a reference (`suffice data`'s metrics, or "schema"); None: "exact" for
    classes, "json" for extraction, a judge for generation."""
    json_schema: dict[str, Any] | None = None
    """Of an extraction: what every answer must fit."""

    def asked(self, query: Query) -> Query:
        """The query with the instruction before it."""
        if not self.instruction:
            return query
        system = {"role": "system", "content": self.instruction}
        return msgspec.structs.replace(query, messages=(system, *query.chat()))


class Limits(Settings, frozen=True, kw_only=True):
    """What a project may take."""

    usd: Annotated[float, Meta(ge=0)] = 1.0
    """All paid calls of all runs together, by stage that asks (collect and judge have one each)."""
    min_rows: Count = 300
    """With fewer usable records it is said how much more would bring."""


class Project(Settings, frozen=True, kw_only=True):
    """A whole `distill.yaml`. Sections of stages are kept as they are and read with `settings`."""

    name: str = "student"
    """What the student will be called in the panel."""
    config: str = "suffice.yaml"
    """The panel in which teacher, judge and students' prices stand; relative to this file."""
    task: Task = Task()
    teacher: str
    """A model of the panel."""
    seed: int = 0
    margin: Share = 0.02
    """By so much may the student be worse than the teacher."""
    limits: Limits = Limits()
    collect: dict[str, Any] = {}
    judge: dict[str, Any] = {}
    curate: dict[str, Any] = {}
    baseline: dict[str, Any] = {}
    train: dict[str, Any] = {}
    evaluate: dict[str, Any] = {}
    promote: dict[str, Any] = {}
    stages: dict[str, dict[str, Any]] = {}
    """Settings of stages that other packages add."""
    directory: str = "."
    """Where relative paths start: the file's own; set by `load`."""

    def path(self, relative: str) -> Path:
        """A path of the file, from the file's own directory."""
        return Path(self.directory) / Path(relative).expanduser()

    @property
    def config_path(self) -> Path:
        return self.path(self.config)

    def section(self, stage: str) -> Mapping[str, Any]:
        """A stage's settings as they were written."""
        found = getattr(self, stage, None) if stage in SECTIONS else self.stages.get(stage)
        return found or {}

    def settings(self, stage: str, kind: type[S]) -> S:
        """A stage's settings.

        Raises
        ------
        ConfigError
            With the key, where one is unknown or of the wrong type.
        """
        try:
            return msgspec.convert(dict(self.section(stage)), kind, strict=True)
        except msgspec.ValidationError as error:
            known = ", ".join(kind.__struct_fields__)
            file = str(Path(self.directory) / FILE)
            raise ConfigError(f"{error}; known: {known}", file=file, key=stage) from None


SECTIONS: Final = ("collect", "judge", "curate", "baseline", "train", "evaluate", "promote")


def load(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Project:
    """Read a project file.

    Parameters
    ----------
    path : the file or its directory; None takes `distill.yaml` of the working directory
    environ : where `${NAME}` is looked up; the process's environment by default

    Raises
    ------
    ConfigError
        If there is no such file, or with line and key where something in it is wrong.
    """
    file = Path(path or FILE)
    file = file / FILE if file.is_dir() else file
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"no project at {file}: write one with at least `teacher: MODEL` (docs/distillation.md)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from None
    return parse(text, file=file, environ=os.environ if environ is None else environ)


def parse(text: str, *, file: Path, environ: Mapping[str, str]) -> Project:
    """As `load`, from text."""
    from suffice.config import expanded, located

    plain, lines = _yaml.read(text, file)
    if not isinstance(plain, dict):
        raise ConfigError("wanted keys such as `teacher:`", file=str(file))
    if "directory" in plain:
        raise ConfigError("unknown key", file=str(file), line=lines.get("$.directory"), key="directory")
    plain = expanded(plain, environ, lines, file)
    try:
        project = msgspec.convert(plain, Project, strict=True)
    except msgspec.ValidationError as error:
        raise located(error, lines, file, (Project, Task, Limits)) from None
    _check(project, lines, file)
    return msgspec.structs.replace(project, directory=str(file.parent))


def _check(project: Project, lines: Mapping[str, int], file: Path) -> None:
    labels = project.task.labels
    said = None
    if project.task.kind == "classify" and len({label.casefold().strip() for label in labels}) != len(labels):
        said = "two labels are the same but for case"
    elif project.task.kind == "classify" and len(labels) == 1:
        said = "one label leaves nothing to learn; name all of them, or none to take them from the data"
    if said:
        raise ConfigError(said, file=str(file), line=lines.get("$.task.labels"), key="task.labels")
