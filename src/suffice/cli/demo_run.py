"""The course of `suffice demo`: introduce the panel, ask, show, sum up, serve."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from suffice.cli.base import print_json
from suffice.cli.demo_panel import Stage, say, staged
from suffice.cli.demo_report import Row, Totals, row_of, show_head, show_row, show_totals, totals_of
from suffice.cli.formats import usd
from suffice.engine import Engine, Request
from suffice.errors import SufficeError
from suffice.types import Options, Query, Record


async def perform(stage: Stage, out: Console, *, once: bool, port: int, as_json: bool) -> None:
    """Ask, show, and unless `once` serve until told to stop."""
    stage, engine = await _engine(stage, out)
    try:
        await _show(stage, engine, out, as_json=as_json)
    except BaseException:  # whatever ends it early: what was recorded is written first
        await engine.close()
        raise
    if once:
        await engine.close()
        return
    from suffice.cli.demo_serving import serve

    await serve(engine, stage, port, out)


async def _show(stage: Stage, engine: Engine, out: Console, *, as_json: bool) -> None:
    await _introduce(stage, engine, out)
    rows = await _ask_all(stage, engine, lambda place, row: show_row(out, place, row), out)
    totals = totals_of(rows)
    show_totals(out, totals)
    _where(stage, out)
    if as_json:
        _print(stage, rows, totals)


async def _engine(stage: Stage, out: Console) -> tuple[Stage, Engine]:
    """Local models are warmed up and timed first, so that predicted costs are those of this machine."""
    from suffice.build import build

    if stage.panel is None or stage.panel.kind != "local":
        return stage, build(stage.config, trained=stage.trained)
    from suffice.catalogue import LOCAL_USD_PER_CPU_HOUR
    from suffice.cli.demo_speed import described, measured_speed
    from suffice.store import open_store

    say(out, "loading the local models and timing them ...")
    trial = build(stage.config, store=open_store("sqlite:///:memory:"))
    speed = await measured_speed(trial.models)
    say(out, described(speed, LOCAL_USD_PER_CPU_HOUR))
    timed = staged(stage.panel, len(stage.queries), out, speed=speed)
    engine = build(timed.config)  # before the trial lets go, so that the models stay loaded
    await trial.close()
    return timed, engine


async def _introduce(stage: Stage, engine: Engine, out: Console) -> None:
    """What will be asked, what decides, and what it may cost."""
    for candidate in engine.candidates:
        say(out, f"  {candidate.name:<16} {candidate.provider} {candidate.model}")
    if stage.starter is not None:
        made = stage.starter
        value = f"value_usd = {made.value_usd:g} USD for a right answer is {made.why}"
        say(out, f"router {made.router}, trained on {made.n_queries} recorded questions; {value}")
    if stage.panel is not None and stage.panel.borrows:
        say(out, stage.panel.borrows, "yellow")
    if stage.panel is None or stage.panel.kind == "remote":
        decisions = [await engine.decide(Request(query=Query(text=query.text))) for query in stage.queries]
        dearest = [max((cost for cost in d.costs_usd if cost is not None), default=None) for d in decisions]
        known = [cost for cost in dearest if cost is not None]
        about = usd(sum(known)) if known else "an unknown amount"
        say(out, f"asking these {len(stage.queries)} questions costs about {about} at most, as predicted")
    out.print()


async def _ask_all(
    stage: Stage, engine: Engine, on_row: Callable[[int, Row], None], out: Console
) -> list[Row]:
    """One after the other, as a person would."""
    show_head(out)
    rows = []
    for place, query in enumerate(stage.queries, 1):
        request = Request(query=Query(text=query.text), options=Options(fields=stage.fields))
        record, answer = await _ask(engine, request)
        rows.append(row_of(query, record, answer))
        on_row(place, rows[-1])
    return rows


async def _ask(engine: Engine, request: Request) -> tuple[Record, str]:
    """The record and the answer; a failure that was recorded is an answer too."""
    try:
        result = await engine.answer(request)
    except SufficeError as error:
        await engine.store.drain()
        record = engine.store.record(error.record_id) if error.record_id else None
        if record is None:
            raise
        return record, ""
    return result.record, result.answer.content


def _where(stage: Stage, out: Console) -> None:
    """Where to look further."""
    if stage.is_live:
        say(out, f"records:  {stage.config.store} (suffice records, suffice spend)")
    else:
        say(out, "NOT LIVE: these were recorded answers; nothing was stored", "bold red")
    if stage.panel is not None and stage.file is not None:
        say(out, f"config:   {stage.file}; `suffice init` writes one here")


def _print(stage: Stage, rows: list[Row], totals: Totals) -> None:
    shown = {
        "is_live": stage.is_live,
        "panel": "configured" if stage.panel is None else stage.panel.kind,
        "starter": stage.starter,
        "rows": rows,
        "totals": totals,
    }
    print_json(shown)
