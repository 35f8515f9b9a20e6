"""`suffice recommend`: which router, embedder and value suit recorded outcomes, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suffice.cli.base import console, notes, print_json
from suffice.cli.data import (
    ONE_MODEL,
    AggregateOption,
    ArmOption,
    ModelsOption,
    PricesOption,
    WhereOption,
    names_of,
    read_models,
    read_outcomes,
)
from suffice.cli.evaluate import JobsOption, n_jobs, progress
from suffice.cli.showing import print_grid


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("recommend")(_recommend)


def _recommend(
    data: Annotated[Path, typer.Option(help="Outcomes to train and judge on, in turn.")],
    routers: Annotated[str, typer.Option(help="Names with commas between them, or all.")] = "all",
    embedders: Annotated[
        str | None, typer.Option(help="Names with commas; the local ones that are installed.")
    ] = None,
    models: ModelsOption = None,
    prices: PricesOption = None,
    jobs: JobsOption = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Choose router, embedder and value for recorded outcomes, by cross-validation, and say why."""
    import msgspec

    from suffice.catalogue import read_prices
    from suffice.evaluation import suggest
    from suffice.reports import commands, options, why

    outcomes = read_outcomes(data, where, arm, aggregate)
    with progress() as (on_plan, on_step):
        found = suggest(
            outcomes,
            names_of(routers),
            embedders=None if embedders is None else names_of(embedders),
            models=read_models(models),
            prices=None if prices is None else read_prices(prices),
            jobs=n_jobs(jobs),
            on_plan=on_plan,
            on_step=on_step,
        )
    given = _given(models, prices, where, arm, aggregate)
    command, yaml = commands(found, str(data), given)
    if as_json:
        print_json(msgspec.to_builtins(found) | {"why": why(found), "command": command, "yaml": yaml})
        return
    print_grid(options(found))
    console.print(why(found), style="bold", highlight=False, markup=False)
    console.print(f"\n{command}\n\nin suffice.yaml:\n{yaml}", highlight=False, markup=False, soft_wrap=True)
    if len(found.models) == 1:
        notes.print(ONE_MODEL, style="yellow", highlight=False)
    for kind, left_out in (("model", found.models_left_out), ("router or embedder", found.skipped)):
        for name, reason in left_out.items():
            notes.print(f"{kind} {name} left out: {reason}", style="yellow", highlight=False, markup=False)


def _given(
    models: str | None, prices: Path | None, where: list[str] | None, arm: str, aggregate: str
) -> tuple[str, ...]:
    """What was said of the data, for the command that trains on them."""
    found: list[str] = []
    found += [] if models is None else ["--models", models]
    found += [] if prices is None else ["--prices", str(prices)]
    found += [word for condition in where or () for word in ("--where", condition)]
    found += [] if arm == "model" else ["--arm", arm]
    found += [] if aggregate == "error" else ["--aggregate", aggregate]
    return tuple(found)
