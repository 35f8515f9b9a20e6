"""The stage `train`: one student, or the best of several settings by the validation rows."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from suffice.distillation import trainers
from suffice.distillation.flywheel.project import Project, Settings
from suffice.distillation.flywheel.rows import TRAIN, VALIDATION, Row
from suffice.distillation.flywheel.work import Result, Stage, Work
from suffice.distillation.trainers.base import LOSS, Course
from suffice.distillation.trainers.loop import CHECKPOINT, Progress, fingerprint
from suffice.errors import ConfigError, MissingDependency
from suffice.providers.student_card import CARD, StudentCard, read_card

_MOST_TRIALS = 64
_TORCH = ("torch", "transformers", "tokenizers", "peft", "safetensors")
_LIBRARIES = {"torch": _TORCH, "gpu": (*_TORCH, "trl", "datasets", "accelerate")}
"""Of the extras."""


class Training(Settings, frozen=True, kw_only=True):
    """The section `train` of distill.yaml."""

    trainer: str = "head"
    """head, lora, kd_offline, kd_onpolicy, dpo, hosted, or path/to/file.py:ClassName."""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """The trainer's own; a `base` that is a path starts at the project file."""
    search: dict[str, list[Any]] = msgspec.field(default_factory=dict)
    """Values to try for some settings: all combinations are trained, the least validation loss wins."""
    use_reference: bool = False
    """Learn the gold answers where rows have them, in place of the teacher's."""
    limit: Annotated[int, Meta(ge=1)] | None = None
    """Of training rows, in their order."""


def train(work: Work) -> Result:
    """The student's folder: `student.json` and its weights.

    Raises
    ------
    DataError
        If the rows teach nothing.
    ConfigError
        If the trainer or a setting is none.
    MissingDependency
        Without the trainer's extra.
    """
    own: Training = work.settings
    rows, held = (_of(work.rows("curate"), part, own) for part in (TRAIN, VALIDATION))
    rows = rows[: own.limit]
    notes: list[str] = []
    tried: list[tuple[Mapping[str, Any], StudentCard, Path]] = []
    combinations = _combinations(own)
    for number, varied in enumerate(combinations):
        settings = _resolved(
            {"seed": work.project.seed} | dict(own.settings) | dict(varied), own.trainer, work.project
        )
        aside = getattr(trainers.get(own.trainer), "aside", ())
        what = {name: value for name, value in settings.items() if name not in aside}
        key = fingerprint(own.trainer, what, _taught(work.project), _digest(rows, held))
        folder = work.journals / f"train-{key[:12]}"
        course = Course(
            rows, held, work.project.task, folder, notes.append, _steps(work, number, len(combinations))
        )
        # a folder with a card is a training that was finished before the command was killed
        card = (
            read_card(folder)
            if (folder / CARD).is_file()
            else trainers.create(own.trainer, settings).train(course)
        )
        tried.append((varied, card, folder))
    chosen, card, folder = min(tried, key=lambda one: _loss(one[1]))
    shutil.copytree(
        folder,
        work.out,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(CHECKPOINT, ".part-*", "job.json", "trl"),
    )
    for _, other, done in tried:
        if other.kind != "hosted":  # whose job is paid for once
            shutil.rmtree(done, ignore_errors=True)
    return Result(
        counts={
            "trainer": card.trainer,
            "train": card.n_train,
            "validation": card.n_validation,
            "chosen": dict(chosen),
            "trials": [{**one, "loss": _loss(other)} for one, other, _ in tried] if len(tried) > 1 else [],
            "facts": {name: value for name, value in card.facts.items() if name != "head"},
            "bytes": sum(path.stat().st_size for path in work.out.rglob("*") if path.is_file()),
        },
        notes=tuple(dict.fromkeys(notes)),
    )


def check(project: Project) -> None:
    """Whether the trainer is there, with all it needs, and knows the settings.

    Raises
    ------
    ConfigError, UnknownName, MissingDependency
        As `train`.
    """
    own = project.settings("train", Training)
    extra = getattr(trainers.get(own.trainer), "extra", None)
    for varied in _combinations(own):
        settings = _resolved({"seed": project.seed} | dict(own.settings) | varied, own.trainer, project)
        trainers.create(own.trainer, settings)
        base = settings.get("base")
        if isinstance(base, str) and base.endswith(".gguf") and not Path(base).expanduser().is_file():
            raise ConfigError(f"there is no file {project.path(base)}", key="train.settings.base")
    for name in _LIBRARIES.get(extra or "", ()):
        if importlib.util.find_spec(name) is None:
            raise MissingDependency(name, str(extra), f"the trainer {own.trainer!r}")


def _of(rows: Sequence[Row], part: str, own: Training) -> list[Row]:
    found = [row for row in rows if row.part == part]
    if own.use_reference:
        found = [
            msgspec.structs.replace(row, label=row.reference) if row.reference is not None else row
            for row in found
        ]
    return [row for row in found if row.label]


def _combinations(own: Training) -> list[dict[str, Any]]:
    found = [dict(zip(own.search, values, strict=True)) for values in itertools.product(*own.search.values())]
    if not found or len(found) > _MOST_TRIALS:
        raise ConfigError(
            f"train.search makes {len(found)} combinations: 1 to {_MOST_TRIALS} are needed",
            key="train.search",
        )
    return found


def _resolved(settings: dict[str, Any], trainer: str, project: Project) -> dict[str, Any]:
    """With the path of a base from the project file on, and without a seed that the trainer does not know."""
    known = trainers.get(trainer).settings.__struct_fields__
    if "seed" not in known:
        settings.pop("seed")
    for name in ("base", "teacher"):
        value = settings.get(name)
        if isinstance(value, str) and (path := project.path(value)).exists():
            settings[name] = str(path.resolve())
    return settings


def _digest(rows: Sequence[Row], held: Sequence[Row]) -> str:
    return fingerprint(
        [(row.id, row.query, row.label, msgspec.to_builtins(row.samples)) for row in (*rows, *held)],
        len(rows),
    )


def _taught(project: Project) -> tuple[Any, ...]:
    """What of the task reaches a student."""
    return project.task.kind, project.task.instruction, project.task.labels


def _loss(card: StudentCard) -> float:
    """Of the validation rows; infinite where nothing is known."""
    for name in (LOSS, "validation_loss"):
        value = card.facts.get(name)
        if isinstance(value, int | float):
            return float(value)
    return float("inf")


def _steps(work: Work, number: int, n_trials: int) -> Any:
    """Progress over all trials."""

    def step(one: Progress) -> None:
        work.on_step(number * one.n_steps + one.step, n_trials * one.n_steps, None)

    return step


STAGE = Stage(
    name="train",
    run=train,
    settings=Training,
    needs=("curate",),
    reads=("task.kind", "task.instruction", "task.labels", "seed"),
    check=check,
)
