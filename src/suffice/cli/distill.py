"""`suffice distill`: a dear model's answers into a small model of your own, stage by stage."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.cli.distill_shown import show
from suffice.cli.formats import usd
from suffice.cli.setting import JsonOption

if TYPE_CHECKING:
    from suffice.distillation.flywheel import Done, Runner
    from suffice.distillation.flywheel.work import Step

group: Final = typer.Typer(
    help="Distil a dear model into a cheap one: collect, judge, curate, train, promote.", no_args_is_help=True
)
STAGES: Final = {
    "collect": "Training records from a teacher, from gateway records with consent, or from outcomes.",
    "judge": "A label for every record, and how good it is.",
    "curate": "Duplicates and bad records out, parts that share nothing, a leak report.",
    "baseline": "The teacher and every rung that needs no tuning, on held rows; says where one is enough.",
    "train": "A student: head, lora, kd_offline, kd_onpolicy, dpo or hosted.",
}
"""Stages with a command of their own, in the order of `run`, and what they do."""
MODULES: Final[tuple[str, ...]] = ("distill_evaluate", "distill_live", "distill_next")
"""Modules of `suffice.cli` with further commands: each has `register(group)`."""
ProjectOption = Annotated[
    Path | None, typer.Option("--project", "-p", help="The project's file; distill.yaml by default.")
]
RayOption = Annotated[bool, typer.Option("--ray", help="Big stages on a Ray cluster (RAY_ADDRESS).")]
AnewOption = Annotated[bool, typer.Option("--anew", help="Run even if nothing has changed.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, help_text in STAGES.items():
        if name not in {command.name for command in group.registered_commands}:
            group.command(name, help=help_text)(_command(name))
    for module in MODULES:
        importlib.import_module(f"suffice.cli.{module}").register(group)
    app.add_typer(group, name="distill")


def _command(name: str) -> Callable[..., None]:
    def command(
        project: ProjectOption = None,
        anew: AnewOption = False,
        ray: RayOption = False,
        as_json: JsonOption = False,
    ) -> None:
        with runner(project, ray) as run:
            found = run.run(name, anew=anew)
        print_json(facts(found)) if as_json else show(found)

    return command


@group.command("run")
def _run(
    project: ProjectOption = None,
    upto: Annotated[str | None, typer.Option(help="The last stage to run.")] = None,
    past_stops: Annotated[
        bool, typer.Option("--past-stops", help="Go on where a stage says that nothing more is needed.")
    ] = False,
    ray: RayOption = False,
    as_json: JsonOption = False,
) -> None:
    """All stages in their order; what is done already is not done again."""
    found: list[Done] = []
    with runner(project, ray) as run:
        for one in run.run_all(upto=upto, past_stops=past_stops):
            if not as_json:
                if found:
                    console.print()
                show(one)
            found.append(one)
    if found and found[-1].manifest.stage == "promote" and found[-1].manifest.stop is None:
        notes.print(
            "`suffice distill promote` puts it into the panel and tries it on live traffic", style="dim"
        )
    if as_json:
        print_json([facts(one) for one in found])


@group.command("status")
def _status(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Which stages are done, with the files and settings as they are now."""
    from suffice.distillation.flywheel import stages

    with runner(project, False) as run:
        found = {name: run.done(name) for name in stages.available()}
    if as_json:
        print_json({name: None if one is None else facts(one) for name, one in found.items()})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("stage", "state", "result"):
        table.add_column(title, no_wrap=True)
    for name, done in found.items():
        partial = done is not None and done.manifest.is_partial
        state = "[dim]to do[/]" if done is None else "[yellow]partial[/]" if partial else "[green]done[/]"
        table.add_row(name, state, "" if done is None else escape(str(done.folder)))
    console.print(table)


@group.command("forget")
def _forget(
    user: Annotated[str, typer.Argument(help="The user as requests name it (`user`), or a file's column.")],
    project: ProjectOption = None,
    records: Annotated[
        bool, typer.Option("--records", help="Erase their words from the gateway's records as well.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="Of the records; everyone's by default.")] = None,
) -> None:
    """Remove a user's data from a project, and all that was made from them."""
    from suffice.distillation import collecting, flywheel

    found = flywheel.load(project)
    gone = collecting.forget(found, user)
    for name in gone.folders:
        console.print(f"removed {name}", highlight=False)
    for name in gone.journals:
        console.print(f"removed lines of {name}", highlight=False)
    if not gone.folders and not gone.journals:
        console.print(
            "the project holds nothing of that user, and will not collect anything", highlight=False
        )
    if records:
        n = collecting.forget_records(found, user, tenant=tenant)
        console.print(f"erased the words of {n:,} records", highlight=False)
    if gone.folders:
        notes.print("`suffice distill run` makes the rest anew, without that user", style="dim")


@contextmanager
def runner(project: Path | None, ray: bool) -> Iterator[Runner]:
    """The stages of a project, with a progress bar while one runs."""
    from suffice.distillation.flywheel import RayExecutor, Runner, load

    found = load(project)
    executor = RayExecutor() if ray else None
    try:
        yield Runner(found, watch=_bar, executor=executor)
    except KeyboardInterrupt:
        notes.print("stopped; what was answered is kept: the same command goes on from there")
        raise


@contextmanager
def _bar(stage: str) -> Iterator[Step]:
    """One stage's bar on stderr; gone when it ends, so that nothing is printed into it."""
    text = TextColumn("{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[usd]}"))
    with Progress(*columns, console=notes, transient=True) as bars:
        bar = bars.add_task(stage, total=None, usd="")

        def on_step(done: int, total: int | None, spent: Decimal | None) -> None:
            bars.update(bar, completed=done, total=total, usd="" if spent is None else usd(spent))

        yield on_step


def facts(done: Done) -> dict[str, Any]:
    """A result as `--json` shows it."""
    manifest = done.manifest
    return {
        "stage": manifest.stage,
        "folder": str(done.folder),
        "is_new": done.is_new,
        "is_partial": manifest.is_partial,
        "stop": manifest.stop,
        "counts": manifest.counts,
        "notes": manifest.notes,
    }
