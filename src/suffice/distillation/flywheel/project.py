"""`distill.yaml` to a `Project`: what is taught to whom, and the settings of every stage.

A section of the file that bears the name of a stage holds that stage's settings; each stage says with a
struct of its own which there are. Misspelt keys are errors with their line.
"""

from __future__ import annotations

import os
import re
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
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A student's name is that of a folder, of models in the panel and of what clients ask for."""
S = TypeVar("S", bound=msgspec.Struct)

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every stage's settings: a misspelt key is an error."""


class SettingError(ConfigError):
    """What `__post_init__` of settings raises: a value of the right type that cannot be used."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(said, key=key)
        self.setting, self.said = key, said


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


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """Where a project's settings stand, for what is said of wrong ones."""

    file: str
    lines: Mapping[str, int]
    """Path of a value (`$.collect.samples`) to its line."""
    plain: Mapping[str, Any]
    """As it was written, without what the environment holds."""


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
    written: Written | None = None
    """Set by `load`."""

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
            raise self._wrong(error, stage, kind) from None
        except SettingError as error:
            raise self.wrong(stage, error.setting, error.said) from None

    def wrong(self, section: str, key: str, said: str) -> ConfigError:
        """An error about one setting, with its line."""
        source = self.written
        line = None if source is None else source.lines.get(f"$.{section}.{key}")
        return ConfigError(
            said, file=None if source is None else source.file, line=line, key=f"{section}.{key}"
        )

    def _wrong(self, error: msgspec.ValidationError, stage: str, kind: type[msgspec.Struct]) -> ConfigError:
        from suffice.config import located

        what, _, path = str(error).partition(" - at `$")
        at = f"{stage if stage in SECTIONS else f'stages.{stage}'}{path.removesuffix('`')}"
        source = self.written or Written(
            file=str(Path(self.directory) / FILE), lines={}, plain=msgspec.to_builtins(self)
        )
        return located(
            msgspec.ValidationError(f"{what} - at `$.{at}`"), source.lines, Path(source.file), (kind,),
            remedy=f"known: {', '.join(kind.__struct_fields__)}", plain=source.plain,
        )  # fmt: skip


_INSIDE: Final[dict[str, type[Settings]]] = {"task": Task, "limits": Limits}
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
    project = parse(text, file=file, environ=os.environ if environ is None else environ)
    _check_sections(project)
    return project


def parse(text: str, *, file: Path, environ: Mapping[str, str]) -> Project:
    """As `load`, from text."""
    from suffice.config import expanded, located

    plain, lines = _yaml.read(text, file)
    if not isinstance(plain, dict):
        raise ConfigError("wanted keys such as `teacher:`", file=str(file))
    _check_keys(plain, lines, file)
    written = Written(file=str(file), lines=lines, plain=plain)
    plain = expanded(plain, environ, lines, file)
    try:
        project = msgspec.convert(plain, Project, strict=True)
    except msgspec.ValidationError as error:
        raise located(error, lines, file, (Project, Task, Limits), plain=written.plain) from None
    _check(project, lines, file)
    return msgspec.structs.replace(project, directory=str(file.parent), written=written)


def _check_sections(project: Project) -> None:
    """What stands in the file for our own stages can be used, whichever of them is to be run."""
    from suffice.distillation.flywheel import stages

    for name in SECTIONS:
        if project.section(name):
            project.settings(name, stages.get(name).settings)


def _check_keys(plain: Mapping[str, Any], lines: Mapping[str, int], file: Path) -> None:
    """What people write that a schema alone would explain badly."""
    task = plain.get("task")
    labels = task.get("labels") if isinstance(task, dict) else None
    bare = [label for label in labels if not isinstance(label, str)] if isinstance(labels, list) else []
    found: tuple[str, str] | None = None
    for key in plain:
        if key in ("directory", "written"):
            found = key, "unknown key"
        elif key in Project.__struct_fields__:
            continue
        elif section := next((one for one, kind in _INSIDE.items() if key in kind.__struct_fields__), None):
            found = key, f"stands under `{section}:`, not beside it"
    if found is None and bare:
        found = (
            "task.labels",
            (
                f"{bare[0]!r} is no text: YAML reads yes, no, on, off and numbers as something else; put "
                'labels in quotes, as in ["yes", "no"]'
            ),
        )
    if found is not None:
        key, said = found
        raise ConfigError(said, file=str(file), line=lines.get(f"$.{key}"), key=key)


def _check(project: Project, lines: Mapping[str, int], file: Path) -> None:
    if said := _wrong_name(project):
        raise ConfigError(said, file=str(file), line=lines.get("$.name"), key="name")
    labels = project.task.labels
    said = None
    if project.task.kind == "classify" and len({label.casefold().strip() for label in labels}) != len(labels):
        said = "two labels are the same but for case"
    elif project.task.kind == "classify" and len(labels) == 1:
        said = "one label leaves nothing to learn; name all of them, or none to take them from the data"
    if said:
        raise ConfigError(said, file=str(file), line=lines.get("$.task.labels"), key="task.labels")


def _wrong_name(project: Project) -> str | None:
    if not _NAME.fullmatch(project.name):
        return f"{project.name!r}: up to 64 letters, digits, - and _ are a student's name"
    if project.name == "auto":
        return "'auto' is what clients ask the router for: call the student something else"
    if project.name == project.teacher:
        return f"{project.name!r} is the teacher: call the student something else"
    return None
