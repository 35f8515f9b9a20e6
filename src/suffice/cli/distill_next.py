"""`suffice distill suggest`, `pool` and `rounds`: what to distil, what to label next, whether to go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.cli.distill import ProjectOption, runner
from suffice.cli.formats import count, share, usd
from suffice.cli.setting import JsonOption
from suffice.cli.store import StoreOption
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.distillation.flywheel import Done, Row
    from suffice.distillation.iterating import Suggestion

_DAYS = 90.0


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("suggest")(_suggest)
    group.command("pool")(_pool)
    group.command("rounds")(_rounds)


def _suggest(
    store_url: StoreOption = None,
    days: Annotated[float, typer.Option(help="Look at so many last days.")] = _DAYS,
    least: Annotated[int, typer.Option(help="Requests without which a task is not looked at.")] = 50,
    agree: Annotated[
        float, typer.Option(help="How often what a student keeps must be the same answer.")
    ] = 0.97,
    keyless: Annotated[bool, typer.Option("--keyless", help="Records of callers without a key too.")] = False,
    top: Annotated[int, typer.Option(help="Show so many.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Tasks in the gateway's records by what a student would save; only records with consent are read."""
    from suffice.cli.store import opened
    from suffice.distillation.collecting import Redactor, from_records
    from suffice.distillation.iterating import suggest
    from suffice.store import SqliteStore

    redactor = Redactor()
    with opened(store_url) as store:
        if not isinstance(store, SqliteStore):
            raise ConfigError("records with consent are kept in SQLite only")
        models = [one.group for one in store.spend(by="candidate")]
        rows = from_records(store, models, now=time.time(), retention_days=days, keyless=keyless)
        found = suggest([redactor.row(row) for row in rows], least=least, agree=agree)[:top]
    if as_json:
        print_json(found)
    elif not found:
        notes.print(
            f"no task has {least} records that may be read: their keys need --keep-content and consent "
            "(`suffice keys consent`)",
            soft_wrap=True,
        )
    else:
        _show(found)


def _show(found: list[Suggestion]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("task", "asked", "requests", "spent", "kind", "odds", "would save"):
        table.add_column(title, overflow="fold")
    for one in found:
        table.add_row(
            escape(one.task[:48]), escape(one.models[0]), count(one.n), usd(one.usd), one.kind,
            share(one.odds), usd(one.saves_usd),
        )  # fmt: skip
    console.print(table)
    for one in found:
        console.print(
            f"{escape(one.task[:48])}: {escape(one.why)}", style="dim", highlight=False, soft_wrap=True
        )


def _pool(
    file: Annotated[Path, typer.Argument(help="Queries without answers: query_id and query.")],
    out: Annotated[
        Path, typer.Option(help="A new .jsonl file for `collect: {file: ...}` of the next round.")
    ],
    n: Annotated[int, typer.Option(min=1, help="At most so many.")] = 500,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queries that the student passes on or is least sure of, for the next round to ask the teacher."""
    from suffice.distillation.collecting.asked import read_queries
    from suffice.distillation.flywheel.rows import write_lines
    from suffice.distillation.iterating import pool
    from suffice.distillation.promoting.stage import read_promotion
    from suffice.distillation.students import open_student

    if out.suffix != ".jsonl":
        raise ConfigError(f"--out: {out}: JSON Lines are written; end the name in .jsonl")
    if out.exists():
        raise ConfigError(f"--out: {out} is there already, and is not written over: name a new file")
    with runner(project, False) as run:
        trained, curated, promoted = (run.done(name) for name in ("train", "curate", "promote"))
    if trained is None or curated is None:
        raise ConfigError("there is no student yet: run `suffice distill run` first")
    threshold = None if promoted is None else read_promotion(promoted.folder).threshold
    known = [row.query for row in _rows(curated)]
    found = pool(open_student(trained.folder), read_queries(file), n=n, threshold=threshold, known=known)
    write_lines(found, out)
    counts = {why: sum(one.why == why for one in found) for why in ("deferred", "disagreed", "unsure")}
    if as_json:
        print_json({"queries": len(found), **counts, "out": str(out)})
        return
    said = ", ".join(f"{count(k)} {why}" for why, k in counts.items() if k)
    console.print(
        f"{count(len(found))} queries in {escape(str(out))}: {said or 'none is new'}", highlight=False
    )


def _rows(done: Done) -> list[Row]:
    from suffice.distillation.flywheel import read_rows
    from suffice.distillation.flywheel.rows import ROWS

    return read_rows(done.folder / ROWS)


def _rounds(
    project: ProjectOption = None,
    log: Annotated[bool, typer.Option("--log", help="Write down the present results as a round.")] = False,
    note: Annotated[str, typer.Option(help="Why this round was made.")] = "",
    svg: Annotated[Path | None, typer.Option(help="Write a chart of all rounds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Rounds on the same test rows: what was changed, what it gained, and whether to go on."""
    from suffice.distillation.flywheel import stages
    from suffice.distillation.iterating import Rounds
    from suffice.reports.rounds import rounds_chart

    with runner(project, False) as run:
        states = {name: run.done(name) for name in stages.available()}
    done = {name: one for name, one in states.items() if one is not None}
    rounds = Rounds(run.project)
    if log:
        if "evaluate" not in done:
            raise ConfigError("nothing to log: run `suffice distill run` first")
        rounds.log(done, time.time(), note)
    found, gains = rounds.all(), {one.number: one for one in rounds.gains()}
    if svg is not None:
        svg.write_text(rounds_chart(found, list(gains.values())), encoding="utf-8")
    if as_json:
        shown = [{"round": one.number, "note": one.note, "changed": one.changed, "n_train": one.n_train,
                  "quality": one.quality, "teacher": one.teacher, "gain": gains.get(one.number)}
                 for one in found]  # fmt: skip
        print_json({"rounds": shown, "advice": rounds.advice()})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("round", "records", "quality", "gain (95 %)", "changed"):
        table.add_column(title, overflow="fold")
    for one in found:
        gain = gains.get(one.number)
        said = "" if gain is None else f"{gain.gain:+.1%} ({gain.low:+.1%} to {gain.high:+.1%})"
        changed = "; ".join(filter(None, [one.note, *one.changed]))
        table.add_row(str(one.number), count(one.n_train), f"{one.quality:.3f}", said, escape(changed))
    if found:
        console.print(table)
    console.print(escape(rounds.advice()), highlight=False, soft_wrap=True)
