"""`suffice distill promote` and `rollback`: a student into the panel, to all of the traffic, and back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from suffice.cli.base import console, notes, print_json
from suffice.cli.distill import AnewOption, ProjectOption, runner
from suffice.cli.distill_shown import show
from suffice.cli.setting import JsonOption
from suffice.cli.store import StoreOption

if TYPE_CHECKING:
    from suffice.distillation.flywheel import Project
    from suffice.distillation.promoting import Release, Released
    from suffice.store import SqliteStore

_CODE: Final = {"running": 0, "promoted": 0, "stopped": 0, "rolled back": 1}


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("promote")(_promote)
    group.command("rollback")(_rollback)


def _promote(
    project: ProjectOption = None,
    gate_only: Annotated[
        bool, typer.Option("--gate-only", help="Say what the gate says, and touch nothing that runs.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also a version that was taken back.")] = False,
    anew: AnewOption = False,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """The gate, then the panel, then live traffic; given again, one step further. Exit 1: it was stopped."""
    from suffice.distillation.collecting.recorded import opened_store
    from suffice.distillation.promoting import Shelf
    from suffice.distillation.promoting.stage import read_promotion, version_digest

    with runner(project, False) as run:
        Shelf(run.project.config_path).mend()
        done = run.run("promote", anew=anew)
    found = read_promotion(done.folder)
    if not as_json:
        show(done)
    if gate_only or not found.verdict.passes:
        if as_json:
            print_json(found)
        raise typer.Exit(0 if found.verdict.passes else 1)
    with opened_store(run.project, store_url) as store:
        released = release_of(run.project, store).promote(
            done.folder, version_digest(done, found.entry), found.entry, time.time(), again=again
        )
    _tell(released, as_json)
    raise typer.Exit(_CODE[released.state])


def _rollback(
    project: ProjectOption = None, store_url: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Back to the version before, or to the teacher; what was is kept."""
    from suffice.distillation import flywheel
    from suffice.distillation.collecting.recorded import opened_store
    from suffice.distillation.promoting import Shelf

    found = flywheel.load(project)
    Shelf(found.config_path).mend()
    with opened_store(found, store_url) as store:
        released = release_of(found, store).rollback(time.time())
    _tell(released, as_json)


def release_of(project: Project, store: SqliteStore) -> Release:
    """The versions of a project's student, and the experiments of its store."""
    from suffice.distillation.promoting import Promoting, Release, Shelf

    return Release(
        Shelf(project.config_path),
        store.experiments(),
        name=project.name,
        teacher=project.teacher,
        settings=project.settings("promote", Promoting),
        margin=project.margin,
    )


def _tell(released: Released, as_json: bool) -> None:
    if as_json:
        print_json(released)
        return
    for said in released.says:
        (notes if released.state == "rolled back" else console).print(
            escape(said), highlight=False, soft_wrap=True
        )
