"""`suffice evaluate`: routers against single models, their mixtures and the oracle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from suffice.cli.base import notes
from suffice.cli.data import (
    AggregateOption,
    ArmOption,
    EmbedderOption,
    ModelsOption,
    PricesOption,
    SignalsOption,
    WhereOption,
    check_file,
    names_of,
    read_groups,
    read_models,
    read_outcomes,
    read_runs,
    write_atomically,
)
from suffice.cli.showing import show

if TYPE_CHECKING:
    from suffice.evaluation import Comparison, Extras
    from suffice.evaluation.planned import PlanWish
    from suffice.outcomes import Outcomes
    from suffice.types import Price

JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Routers trained at a time; 2, or the cores there are.")
]

OnPlan = Callable[[int], None]
OnStep = Callable[[str], None]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(_evaluate)


def _evaluate(
    train: Annotated[Path | None, typer.Option(help="Outcomes to learn from.")] = None,
    test: Annotated[Path | None, typer.Option(help="Outcomes to judge on.")] = None,
    data: Annotated[Path | None, typer.Option(help="Instead of both: one file, split.")] = None,
    split: Annotated[float, typer.Option(help="The share of --data to learn from.")] = 0.5,
    routers: Annotated[str, typer.Option(help="Names with commas between them, or all.")] = "all",
    models: ModelsOption = None,
    prices: PricesOption = None,
    pair: Annotated[str | None, typer.Option(help="STRONG,WEAK: adds APGR and CPT.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Average over this many splits.")] = 1,
    embedder: EmbedderOption = None,
    tasks: Annotated[
        bool | None, typer.Option("--tasks/--no-tasks", help="A row per task; shown where they are few.")
    ] = None,
    leave_out: Annotated[
        str | None, typer.Option(help="COLUMN (task, source): leave each group out of training in turn.")
    ] = None,
    new_model: Annotated[
        str | None, typer.Option(help="NAME[,NAME]: leave each out, then add it with --labels labels.")
    ] = None,
    labels: Annotated[int, typer.Option(min=1, help="Of every --new-model.")] = 100,
    curve: Annotated[str | None, typer.Option(help="SHARES of the training data, as 0.1,0.25,1.")] = None,
    plans: Annotated[
        str | None,
        typer.Option(help="Plans that look at answers: cascade_routing, frugalgpt, ..., all."),
    ] = None,
    signals: SignalsOption = None,
    robustness: Annotated[bool, typer.Option(help="Compare choices for reworded queries.")] = False,
    jobs: JobsOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
) -> None:
    """Compare routers on recorded outcomes."""
    from suffice import embedders
    from suffice.catalogue import read_prices
    from suffice.evaluation import Extras, entrants, evaluate_seeds

    check_file(json_file, "--json")
    check_file(html, "--html")
    first, second = _files(train, test, data, split)
    wanted = names_of(routers)
    entrants(wanted)
    if embedder is not None:
        embedders.create(embedder)  # fails here, not after the reading
    extras = Extras(
        leave_out=leave_out,
        new_models=tuple(names_of(new_model or "")),
        n_labels=labels,
        curve=_shares(curve),
        robustness=robustness,
    )
    price_list = None if prices is None else read_prices(prices)
    wish: PlanWish | None = None
    if plans is None:
        source = read_outcomes(first, where, arm, aggregate)
        held: Outcomes | float = split if second is None else read_outcomes(second, where, arm, aggregate)
    else:
        if (arm, aggregate) != ("model", "error"):
            raise typer.BadParameter("plans are of models, each asked once", param_hint="--plans")
        source, held, wish = _for_plans(first, second, split, names_of(plans), signals, where, price_list)
    with progress(seeds) as (on_plan, on_step):
        comparison = evaluate_seeds(
            source,
            held,
            wanted,
            n_seeds=seeds,
            models=read_models(models),
            prices=price_list,
            pair=_pair(pair),
            embedder=embedder,
            extras=_grouped(extras, first, second),
            plans=wish,
            jobs=n_jobs(jobs),
            on_plan=on_plan,
            on_step=on_step,
        )
    show(comparison, tasks=tasks)
    _write(comparison, json_file, html, title=f"Routers on {first.stem}")


class _Bar:
    """A progress bar that learns in parts how long it will be."""

    def __init__(self, bars: Progress, n_parts: int) -> None:
        self._bars, self._left, self._n_done = bars, n_parts, 0
        self._bar = bars.add_task("starting", total=None)

    def plan(self, n_steps: int) -> None:
        """One more part; those to come are taken to be as long."""
        self._bars.update(self._bar, total=self._n_done + n_steps * max(1, self._left))
        self._left -= 1

    def step(self, step: str) -> None:
        """Another step is done."""
        self._n_done += 1
        self._bars.update(self._bar, completed=self._n_done, description=step)


@contextmanager
def progress(n_parts: int = 1) -> Iterator[tuple[OnPlan, OnStep]]:
    """A bar on stderr, and what to call when steps are planned and done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as bars:
        bar = _Bar(bars, n_parts)
        yield bar.plan, bar.step


def n_jobs(given: int | None) -> int:
    """As given, else two, or as many as there are cores."""
    return given if given is not None else min(2, os.cpu_count() or 1)


def _files(
    train: Path | None, test: Path | None, data: Path | None, split: float
) -> tuple[Path, Path | None]:
    """(training file, test file), or (all data, None)."""
    if data is not None and train is None and test is None:
        if not 0 < split < 1:
            raise typer.BadParameter(f"{split} is no share between 0 and 1", param_hint="--split")
        return data, None
    if data is None and train is not None and test is not None:
        return train, test
    raise typer.BadParameter("give --train and --test, or --data alone", param_hint="--data")


def _for_plans(
    first: Path,
    second: Path | None,
    split: float,
    names: list[str],
    signals: list[str] | None,
    where: list[str] | None,
    prices: Mapping[str, Price] | None,
) -> tuple[Outcomes, Outcomes | float, PlanWish]:
    """Both tables, or one and the share to learn from, with what plans need beside them."""
    from suffice.evaluation.planned import PlanData, PlanWish, known_plans

    known, named = known_plans(names), tuple(signals or ())
    source, data = PlanData.read(read_runs(first, where), signals=named, prices=prices)
    if second is None:
        return source, split, PlanWish(names=known, train=data, test=data, signals=named)
    held, rest = PlanData.read(read_runs(second, where), signals=named, prices=prices)
    return source, held, PlanWish(names=known, train=data, test=rest, signals=named)


def _pair(given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"{given!r} is not STRONG,WEAK", param_hint="--pair")
    return names[0], names[1]


def _shares(given: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in names_of(given or ""))
    except ValueError:
        raise typer.BadParameter(f"{given!r} is not SHARE,SHARE", param_hint="--curve") from None


def _grouped(extras: Extras, first: Path, second: Path | None) -> Extras:
    """With the groups of a column that queries do not carry with them."""
    import msgspec

    if extras.leave_out in (None, "task"):
        return extras
    groups: Mapping[str, str] = read_groups([first] if second is None else [first, second], extras.leave_out)
    return msgspec.structs.replace(extras, groups=groups)


def _write(comparison: Comparison, json_file: Path | None, html: Path | None, *, title: str) -> None:
    import msgspec

    from suffice.reports import page

    if json_file is not None:
        encoded = msgspec.json.format(msgspec.json.encode(comparison), indent=2)
        write_atomically(json_file, encoded.decode() + "\n")
    if html is not None:
        write_atomically(html, page(comparison, title))
