"""What a stage is, what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from suffice.distillation.flywheel.executors import Executor, LocalExecutor
from suffice.distillation.flywheel.project import Project, Settings
from suffice.distillation.flywheel.rows import ROWS, Row, read_rows

Step = Callable[[int, int | None, Decimal | None], None]
"""Told what is done, of how many (None: not known), and USD spent (None: nothing is paid for)."""


Watch = Callable[[str], AbstractContextManager[Step]]
"""Given the name of a stage that is about to run: whom it tells its steps."""


def quiet(done: int, total: int | None, usd: Decimal | None) -> None:
    """A `Step` that nobody watches."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one stage."""

    project: Project
    settings: Any
    """Of the stage's own kind."""
    inputs: Mapping[str, Path]
    """Folders of the stages that this one needs, by name."""
    out: Path
    """An empty folder; what is written here is the stage's output."""
    journals: Path
    """A folder that outlives the run: what was paid for is kept here, and found again after a kill."""
    on_step: Step = quiet
    now: float = 0.0
    """Unix seconds."""
    executor: Executor = msgspec.field(default_factory=LocalExecutor)

    def rows(self, stage: str, file: str = ROWS) -> list[Row]:
        """The rows that an earlier stage gave."""
        return read_rows(self.inputs[stage] / file)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run, beside the files."""

    counts: Mapping[str, Any] = {}
    """Figures for people and for later stages; JSON-able."""
    notes: tuple[str, ...] = ()
    """Sentences for people: what is missing, what to do."""
    stop: str | None = None
    """Why the stages after this one need not run."""
    is_partial: bool = False
    """Some calls failed or were not made: the same command tries them again."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A pure function from files and settings to files.

    `run` writes into `Work.out` only (and journals what it pays for), and gives the same files for the same
    inputs; a stage that is done is not run again until an input, a setting or `version` changes.
    """

    name: str
    run: Callable[[Work], Result]
    settings: type[Settings]
    """Its section of distill.yaml."""
    version: int = 1
    """To be raised with every change of the code that changes the files."""
    needs: tuple[str, ...] = ()
    """Stages whose folders it reads."""
    reads: tuple[str, ...] = ("task",)
    """Fields of the project, beside its own section, on which the result depends; `task.labels` is one field
    of a field. What only limits which calls are made (`limits.usd`) is none: a result that lacks some is
    partial, and tried again anyway."""
    aside: tuple[str, ...] = ()
    """Settings that say how it is done, or are for others: the result does not depend on them."""
    sources: Callable[[Project, Any, float], Mapping[str, str]] | None = None
    """Digests of what it reads from elsewhere, by name, from project, settings and the time."""
    check: Callable[[Project], None] | None = None
    """Fails where its settings cannot be used, before anything is paid for."""
    may_use: Callable[[Project], None] | None = None
    """Fails where its result may not be used (any more), by itself or by stages that build upon it."""
    live: Callable[[Project, Any, float], Mapping[str, str]] | None = None
    """Likewise of what changes by itself, as the records of a gateway do: looked at when this stage is run;
    for later stages its newest result counts."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json` of a finished stage."""

    stage: str
    version: int
    hash: str
    """Of all that the outputs depend on: `stage`, `version`, `project`, `settings` and `inputs`."""
    project: Mapping[str, Any]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Digests of files of earlier stages ("STAGE/FILE") and of other sources."""
    outputs: Mapping[str, str]
    """Digests of the files here."""
    key: str = ""
    """`hash` without what is live; the same where nothing is."""
    counts: Mapping[str, Any]
    notes: tuple[str, ...]
    stop: str | None
    is_partial: bool
    written_by: str
    """suffice's version."""
    seconds: float


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished stage."""

    folder: Path
    manifest: Manifest
    is_new: bool = False
    """It was run just now."""
