"""`suffice evaluate`: routers against single models, their mixtures and the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from suffice.cli.base import console, notes
from suffice.cli.data import (
    ONE_MODEL,
    AggregateOption,
    ArmOption,
    ModelsOption,
    PricesOption,
    WhereOption,
    check_parent,
    read_models,
    read_outcomes,
    write_atomically,
)

if TYPE_CHECKING:
    from suffice.evaluation import Comparison
    from suffice.outcomes import Outcomes


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
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with a plot here.")] = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
) -> None:
    """Compare routers on recorded outcomes."""
    from suffice.catalogue import read_prices
    from suffice.evaluation import evaluate_seeds, resolve

    check_parent(json_file, "--json")
    check_parent(html, "--html")
    first, second = _files(train, test, data, split)
    source = read_outcomes(first, where, arm, aggregate)
    held: Outcomes | float = split if second is None else read_outcomes(second, where, arm, aggregate)
    names = resolve([name.strip() for name in routers.split(",") if name.strip()])
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as bars:
        bar = bars.add_task("starting", total=2 * len(names) * seeds)
        comparison = evaluate_seeds(
            source,
            held,
            names,
            n_seeds=seeds,
            models=read_models(models),
            prices=None if prices is None else read_prices(prices),
            pair=_pair(pair),
            on_step=lambda step: bars.update(bar, advance=1, description=step),
        )
    _show(comparison)
    _write(comparison, json_file, html, title=f"Routers on {first.stem}")


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


def _pair(given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"{given!r} is not STRONG,WEAK", param_hint="--pair")
    return names[0], names[1]


def _show(comparison: Comparison) -> None:
    from suffice.reports import advice, table

    found = table(comparison)
    wide = console if console.is_terminal else Console(width=150)
    gap = 1 if wide.width >= 110 else 0
    shown = Table(title=_title(comparison), title_justify="left", box=SIMPLE_HEAD, padding=(0, gap, 0, 0))
    for place, name in enumerate(found.head):
        shown.add_column(_two_lines(name), justify="right" if place else "left", no_wrap=place > 0)
    for row in found.routers:
        shown.add_row(*map(escape, row))
    shown.add_section()
    for row in found.baselines:
        shown.add_row(*map(escape, row), style="dim")
    wide.print(shown)
    for note in found.notes:
        console.print(note, style="dim", highlight=False, markup=False)
    console.print(advice(comparison), style="bold", highlight=False, markup=False)
    for warning in _warnings(comparison):
        notes.print(warning, style="yellow", highlight=False, markup=False)


def _title(comparison: Comparison) -> str:
    return (
        f"{len(comparison.models)} models, {comparison.n_train:,} training and {comparison.n_test:,} "
        "test queries"
    )


def _two_lines(name: str) -> str:
    """Broken at the space that leaves the shorter lines."""
    spaces = [at for at, letter in enumerate(name) if letter == " "]
    if not spaces:
        return name
    at = min(spaces, key=lambda at: max(at, len(name) - at - 1))
    return f"{name[:at]}\n{name[at + 1 :]}"


def _warnings(comparison: Comparison) -> list[str]:
    """What was left out, and what may make the figures too good."""
    details = comparison.details
    found = [f"router {name} skipped: {why}" for name, why in comparison.skipped.items()]
    found += [ONE_MODEL] * (len(comparison.models) == 1)
    found += [f"model {name} left out: {why}" for name, why in details.models_left_out.items()]
    if details.n_test_left_out:
        found.append(f"{details.n_test_left_out:,} test queries left out: not known for every model")
    if details.n_test_seen:
        found.append(
            f"{details.n_test_seen:,} test queries stand in the training data too: the figures flatter "
            "routers that remember; take them out of one file"
        )
    return found


def _write(comparison: Comparison, json_file: Path | None, html: Path | None, *, title: str) -> None:
    import msgspec

    from suffice.reports import page

    if json_file is not None:
        encoded = msgspec.json.format(msgspec.json.encode(comparison), indent=2)
        write_atomically(json_file, encoded.decode() + "\n")
    if html is not None:
        write_atomically(html, page(comparison, title))
