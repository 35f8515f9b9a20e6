"""`suffice experiment`: shadow, canary and A/B on live traffic, started and stopped while gateways run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.cli.formats import count, usd
from suffice.cli.setting import JsonOption
from suffice.cli.store import StoreOption, configured, opened
from suffice.errors import ConfigError, NotFound
from suffice.experiments import Experiment, Findings, Progress, findings
from suffice.protocols import Store
from suffice.store import SqliteStore
from suffice.store.experiments import SqliteExperiments

_experiments = typer.Typer(help="Start, follow and stop experiments on live traffic.", no_args_is_help=True)


class KindName(StrEnum):
    """How the treatment meets traffic."""

    shadow = "shadow"
    canary = "canary"
    ab = "ab"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment as `--json` shows it."""

    experiment: Experiment
    status: str
    why: str
    share: float
    """Of the control's traffic that the treatment gets now; a shadow's: that is shadowed."""
    started_at: float
    ended_at: float | None
    found: Findings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_experiments, name="experiment")


@_experiments.command("start")
def _start(
    name: Annotated[str, typer.Argument(help="Letters, digits and _.:-; new for every experiment.")],
    treatment: Annotated[str, typer.Option(help="What is tried: auto:NAME or a candidate.")],
    control: Annotated[str, typer.Option(help="What clients ask for and get now.")] = "auto",
    kind: Annotated[
        KindName,
        typer.Option(
            metavar="KIND", help="shadow: nobody sees it; canary: 1, 5, 25, 50 %; ab: 50 % from the start."
        ),
    ] = KindName.canary,
    stages: Annotated[str | None, typer.Option(help="Shares, such as 0.01,0.1,0.5.")] = None,
    margin: Annotated[float, typer.Option(help="By so much the quality may be worse, in [0, 1].")] = 0.02,
    alpha: Annotated[float, typer.Option(help="The chance that an interval ever misses.")] = 0.05,
    least: Annotated[int, typer.Option(help="Judged answers per arm and stage before a decision.")] = 50,
    metric: Annotated[str, typer.Option(help="The feedback that is quality.")] = "score",
    max_cost_increase_usd: Annotated[
        float, typer.Option(help="Per request; promoted only where it surely stays below.")
    ] = 0.0,
    ignore_cost: Annotated[bool, typer.Option("--ignore-cost", help="Promote whatever it costs.")] = False,
    max_error_rate: Annotated[float, typer.Option(help="Rolled back where it is surely higher.")] = 0.05,
    max_p95_s: Annotated[float | None, typer.Option(help="The 95th percentile of latency; likewise.")] = None,
    judge: Annotated[str | None, typer.Option(help="A shadow's: the candidate that rates answers.")] = None,
    salt: Annotated[str, typer.Option(help="Another one draws other users.")] = "",
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split the control's traffic from now on; running gateways notice within seconds."""
    experiment = Experiment(
        name=name, treatment=treatment, control=control, kind=kind.value, stages=_shares(stages),
        margin=margin, alpha=alpha, least=least, metric=metric,
        max_cost_increase_usd=None if ignore_cost else max_cost_increase_usd, max_error_rate=max_error_rate,
        max_p95_s=max_p95_s, judge=judge, salt=salt,
    )  # fmt: skip
    _check_names(experiment)
    with opened(store_url, must_exist=False) as store:
        _books(store).start(experiment, time.time())
    if as_json:
        print_json(experiment)
        return
    share = experiment.shares[0]
    what = "shadows" if kind is KindName.shadow else "is given to"
    console.print(
        f"started {escape(name)}: {escape(treatment)} {what} {share:.0%} of {escape(control)}",
        highlight=False,
    )


@_experiments.command("status")
def _status(
    name: Annotated[str | None, typer.Argument(help="One alone.")] = None,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of every experiment, up to now."""
    with opened(store_url) as store:
        books = _books(store)
        books.look(time.time())
        found = [one for one in books.all() if name in (None, one.experiment.name)]
    if name is not None and not found:
        raise NotFound(f"there is no experiment {name!r}; `suffice experiment status` lists those there are")
    lines = [_line(*one) for one in found]
    if as_json:
        print_json(lines)
    elif not lines:
        notes.print("no experiment yet; `suffice experiment start` starts one", style="dim")
    else:
        for line in lines:
            _show(line)


@_experiments.command("stop")
def _stop(
    name: Annotated[str, typer.Argument(help="Running or promoted.")],
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give all traffic back to the control; what was found is kept."""
    with opened(store_url) as store:
        stopped = _books(store).stop(name, time.time())
    if as_json:
        print_json(_line(*stopped))
        return
    console.print(f"{escape(name)} has ended; all traffic is the control's", highlight=False)


def _books(store: Store) -> SqliteExperiments:
    if not isinstance(store, SqliteStore):
        raise ConfigError("experiments are kept in an SQLite store: name one with --store sqlite:///...")
    return store.experiments()


def _shares(text: str | None) -> tuple[float, ...]:
    try:
        return () if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--stages {text!r}: expected shares such as 0.01,0.1,0.5") from None


def _check_names(experiment: Experiment) -> None:
    """Where there is a configuration, what is named must stand in it."""
    config = configured()
    if not config.models:
        return
    models = [model.name for model in config.models]
    known = ["auto", *(f"auto:{name}" for name in config.pipelines), *models]
    for what, name in (("control", experiment.control), ("treatment", experiment.treatment)):
        if name not in known:
            raise ConfigError(f"the {what} {name!r} is not there to be asked; known: {', '.join(known)}")
    if experiment.judge is not None and experiment.judge not in models:
        raise ConfigError(f"the judge {experiment.judge!r} is not among {', '.join(models)}")


def _line(experiment: Experiment, progress: Progress) -> Line:
    return Line(
        experiment=experiment,
        status=progress.status,
        why=progress.why,
        share=progress.share(experiment),
        started_at=progress.started_at,
        ended_at=progress.ended_at,
        found=findings(experiment, progress),
    )


def _show(line: Line) -> None:
    about, found = line.experiment, line.found
    began = datetime.fromtimestamp(line.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    title = f"{about.name}: {line.status}" + (f" ({line.why})" if line.why else "")
    console.print(f"[bold]{escape(title)}[/]", highlight=False, soft_wrap=True)
    what = f"{about.kind}, {about.treatment} against {about.control}, {line.share:.0%} treated, since {began}"
    console.print(escape(what), highlight=False, soft_wrap=True)
    if found.is_split_wrong:
        console.print(
            "[red]users are not split as they should be: one arm loses records, nothing is promoted[/]"
        )
    table = Table("", "control", "treatment", box=None, pad_edge=False)
    for title, pair in (
        ("requests", found.requests),
        ("failed", found.failures),
        ("units", found.units),
        ("judged", found.judged),
    ):
        table.add_row(title, *map(count, pair))
    console.print(table)
    console.print(
        f"quality, treatment less control: {_interval(found.quality, found.quality_bounds, _plain)}"
    )
    console.print(f"cost per request, likewise: {_interval(found.cost_usd, found.cost_bounds_usd, usd)}\n")


def _interval(value: float | None, bounds: tuple[float | None, float | None], shown: Any) -> str:
    if value is None:
        return "nothing known yet"
    if bounds[0] is None or bounds[1] is None:
        return f"{shown(value)}, too few for bounds"
    return f"{shown(value)}, surely from {shown(bounds[0])} to {shown(bounds[1])}"


def _plain(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # no -0.000
