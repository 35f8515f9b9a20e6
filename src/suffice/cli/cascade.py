"""`suffice cascade`: ask, look at the answer, ask on or accept; fitted to and judged on recorded answers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from suffice.cli.base import console, notes, print_json
from suffice.cli.data import (
    EmbedderOption,
    ModelsOption,
    PricesOption,
    SignalsOption,
    WhereOption,
    json_value,
    pairs,
    read_models,
    read_runs,
)
from suffice.errors import ConfigError, DataError, UnknownName

if TYPE_CHECKING:
    from suffice.cascades import Cascade, Recorded
    from suffice.evaluation.cascading import CascadeReport, Scored
    from suffice.protocols import Embedder

_ALIASES: Final = {"automix": "automix_threshold", "threshold": "confidence"}
_ROUTER: Final = "router"
_cascade = typer.Typer(help="Cascades from recorded answers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    _cascade.command("fit")(_fit)
    _cascade.command("evaluate")(_evaluate)
    app.add_typer(_cascade, name="cascade")


def _fit(
    data: Annotated[Path, typer.Option(help="Recorded answers.")],
    method: Annotated[str, typer.Option(help="automix, threshold, frugalgpt, cascade-routing, ...")],
    out: Annotated[Path, typer.Option(help="The directory to write.")],
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Mean cost per query.")] = None,
    value_usd: Annotated[float | None, typer.Option(min=0, help="What a right answer is worth.")] = None,
    signals: SignalsOption = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="PARAMETER=VALUE of the method; may be repeated.")
    ] = None,
    router: Annotated[str, typer.Option(help="Whose scores cascade-routing starts from.")] = "ensemble",
    reader: Annotated[
        str | None, typer.Option(help="A router that scores frugalgpt's answers, such as bert.")
    ] = None,
    reader_settings: Annotated[
        list[str] | None, typer.Option("--reader-set", help="PARAMETER=VALUE of it; may be repeated.")
    ] = None,
    embedder: EmbedderOption = None,
    models: ModelsOption = None,
    prices: PricesOption = None,
    where: WhereOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Fit a cascade for a budget or for what a right answer is worth, and save it."""
    from suffice import cascades, embedders, routers
    from suffice.evaluation.cascading import crossed_scores, report
    from suffice.evaluation.fitting import fitted
    from suffice.routers.trained_on import write_trained_on

    _check_free(out)
    if (budget_usd is None) == (value_usd is None):
        raise typer.BadParameter(
            "give --budget-usd or --value-usd, one of the two", param_hint="--budget-usd"
        )
    name = _ALIASES.get(method, method.replace("-", "_"))
    vectors = embedders.create(embedder or "hashed")
    params = _params(cascades.get(name), signals, settings, vectors)
    if reader is not None:
        if "reader" not in inspect.signature(cascades.get(name)).parameters:
            raise typer.BadParameter(f"{name} has no reader of answers", param_hint="--reader")
        set_for_it = pairs(reader_settings, "--reader-set").items()
        of_reader = {key: json_value(value) for key, value in set_for_it}
        params["reader"] = routers.create(reader, embedder=vectors, **of_reader)
    cascade = cascades.create(name, **params)
    recorded = _read(data, cascade, signals, models, prices, where)
    given: Scored | None = None
    takes_scores = "scores" in inspect.signature(cascade.fit).parameters
    with notes.status(f"fitting {name} to {recorded.n_queries:,} queries"):
        if takes_scores:
            outcomes = _outcomes(recorded)
            given = crossed_scores(router, outcomes, embedder=vectors)
            trained, _ = fitted(router, outcomes, embedder=vectors)
        cascade.fit(recorded, *(given or ()), budget_usd=budget_usd, value_usd=value_usd)
    cascade.save(out)
    write_trained_on(out, [query.text for query in recorded.queries])
    if takes_scores:
        trained.save(out / _ROUTER)
        write_trained_on(out / _ROUTER, outcomes.texts)
        routers.fit_cost_model(outcomes).save(out / _ROUTER)
    found = report(cascade, recorded, *(given or (None, None)))
    if as_json:
        print_json({"method": name, "out": str(out), "on_fitted_rows": found})
        return
    _show(found, "on the rows it was fitted to, which flatters")
    console.print(f"saved in {out}", highlight=False, markup=False, soft_wrap=True)


def _evaluate(
    data: Annotated[Path, typer.Option(help="Recorded answers to other queries.")],
    cascade: Annotated[Path, typer.Option(help="The directory of a fitted cascade.")],
    signals: SignalsOption = None,
    embedder: EmbedderOption = None,
    prices: PricesOption = None,
    where: WhereOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Play a fitted cascade on recorded answers: quality, cost and calls, beside the single models."""
    from suffice import cascades, embedders, routers
    from suffice.cascades.frugalgpt.reader import READER
    from suffice.evaluation.cascading import report, scored
    from suffice.routers.trained_on import trained_on

    vectors = embedders.create(embedder or "hashed")
    inside = cascade / READER
    reader = routers.load(inside, embedder=vectors) if inside.is_dir() else None
    found = cascades.load_cascade(cascade, embedder=vectors, reader=reader)
    try:
        recorded = _read(data, found, signals, ",".join(found.arms), prices, where)
    except UnknownName as error:
        if error.kind != "arm":
            raise
        said = f"no answers of {error.name!r}, which the cascade in {cascade} may ask ({error})"
        raise DataError(said, file=str(data)) from None
    n_seen = int(trained_on(found, cascade, [query.text for query in recorded.queries]).sum())
    given: Scored | None = None
    if (cascade / _ROUTER).is_dir():
        outcomes = _outcomes(recorded)
        router = routers.load(cascade / _ROUTER, embedder=vectors)
        given = scored(router, routers.load_cost_model(cascade / _ROUTER), outcomes)
        n_seen = max(n_seen, int(trained_on(router, cascade / _ROUTER, outcomes.texts).sum()))
    if n_seen:
        notes.print(f"{n_seen:,} queries were fitted to: the figures flatter", style="yellow")
    result = report(found, recorded, *(given or (None, None)))
    if as_json:
        print_json(result)
        return
    _show(result, f"on {data}")


def _read(
    data: Path,
    cascade: Cascade,
    signals: list[str] | None,
    models: str | None,
    prices: Path | None,
    where: list[str] | None,
) -> Recorded:
    """Complete rows, with what the cascade reads."""
    from suffice.catalogue import read_prices
    from suffice.evaluation.recording import BESIDE, recorded_of

    runs = read_runs(data, where)
    computed = {name for name, _ in BESIDE.values()}
    names = dict.fromkeys([*(signals or ()), *cascade.signals])
    columns = [name for name in names if name in runs.columns or name not in computed]
    price_list = None if prices is None else read_prices(prices)
    found = recorded_of(runs, columns=columns, models=read_models(models), prices=price_list)
    complete = found.complete()
    if complete.n_queries < found.n_queries:
        n_left = found.n_queries - complete.n_queries
        notes.print(f"{n_left:,} queries left out, not known for every model", style="yellow")
    if not complete.n_queries:
        raise ConfigError("no query has a score and a cost of every model: name fewer with --models")
    return complete


def _params(
    kind: Any, signals: list[str] | None, settings: list[str] | None, embedder: Embedder
) -> dict[str, Any]:
    """The constructor's, under whichever name it takes signals."""
    params = {name: json_value(value) for name, value in pairs(settings, "--set").items()}
    taken = inspect.signature(kind).parameters
    if signals and "signals" in taken:
        params["signals"] = tuple(signals)
    elif signals and "signal" in taken:
        if len(signals) > 1:
            raise ConfigError(f"{kind.name} reads one signal, not {', '.join(signals)}")
        params["signal"] = signals[0]
    return params | ({"embedder": embedder} if "embedder" in taken else {})


def _outcomes(recorded: Recorded) -> Any:
    from suffice.outcomes import Outcomes

    return Outcomes.from_arrays(recorded.queries, recorded.arms, recorded.quality, cost_usd=recorded.cost_usd)


def _check_free(out: Path) -> None:
    """Only an empty place or another cascade may be written over."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "cascade.json").is_file())):
        raise ConfigError(f"--out {out} holds other things than a cascade: give a new directory")


def _show(found: CascadeReport, where: str) -> None:
    from rich.table import Table

    low, high = found.quality_ci
    table = Table(box=None, pad_edge=False, title=f"{found.cascade} {where}", title_justify="left")
    for title in ("", "quality", "USD per 1k queries"):
        table.add_column(title, justify="right" if title else "left")
    cost = found.cost_usd_per_1k
    table.add_row(
        f"{found.n_queries:,} queries, {found.n_calls:.2f} calls each",
        f"{found.quality:.3f} ({low:.3f} to {high:.3f})",
        f"{cost:.4g}",
    )
    table.add_row("single models mixed by lot, same cost", f"{found.zero_router_quality:.3f}", f"{cost:.4g}")
    of_best = found.cost_share_of_best_single
    best_cost = "" if not of_best else f"{cost / of_best:.4g}"
    table.add_row(f"{found.best_single} alone", f"{found.best_single_quality:.3f}", best_cost)
    table.add_row("the best answer of each query", f"{found.oracle_quality:.3f}", "")
    console.print(table)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in found.answered_by.items())
    console.print(f"answered by {shares}", highlight=False, markup=False)
