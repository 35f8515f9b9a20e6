"""`suffice train`: fit a router with its cost and latency models, and save all three."""

from __future__ import annotations

import inspect
import os
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli.base import console, notes, print_json
from suffice.cli.data import (
    ONE_MODEL,
    AggregateOption,
    ArmOption,
    EmbedderOption,
    ModelsOption,
    PricesOption,
    WhereOption,
    json_value,
    pairs,
    read_models,
    read_outcomes,
)
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.evaluation.details import CrossValidated
    from suffice.outcomes import Outcomes, Preferences
    from suffice.protocols import Router


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(_train)


def _train(
    router: Annotated[str, typer.Argument(help="A name, or path/to/file.py:ClassName.")],
    out: Annotated[Path, typer.Option(help="The directory to write.")],
    data: Annotated[Path | None, typer.Option(help="Outcomes to learn from.")] = None,
    preferences: Annotated[
        Path | None,
        typer.Option(help="Pairs to learn from; outcomes given beside them become golden labels."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="PARAMETER=VALUE of the router; may be repeated.")
    ] = None,
    embedder: EmbedderOption = None,
    models: ModelsOption = None,
    prices: PricesOption = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Train a router on recorded outcomes, or on preferences, and save it."""
    from suffice import embedders, routers
    from suffice.catalogue import read_prices
    from suffice.evaluation.fitting import fitted
    from suffice.evaluation.recommend import cross_validate
    from suffice.evaluation.selection import select_models
    from suffice.outcomes import Preferences
    from suffice.routers.trained_on import write_trained_on

    _check_free(out)
    routers.get(router)  # a misspelt name fails here, not after the reading
    params = {name: json_value(value) for name, value in pairs(settings, "--set").items()}
    vectors = None if embedder is None else embedders.create(embedder)
    if preferences is not None:
        battles = Preferences.read(preferences)
        if data is not None:
            golden = read_outcomes(data, where, arm, aggregate)
            battles = battles.concat(Preferences.from_outcomes(_chosen(golden, models)))
        elif models is not None or prices is not None:
            raise ConfigError(
                "--models and --prices speak of outcomes: give some with --data, or leave them out"
            )
        _train_on_preferences(routers.create(router, embedder=vectors, **params), battles, out, as_json)
        return
    if data is None:
        raise ConfigError("nothing to learn from: give outcomes with --data, or pairs with --preferences")
    outcomes = read_outcomes(data, where, arm, aggregate)
    if prices is not None:
        outcomes = outcomes.with_prices(read_prices(prices))
    names, left_out = select_models(outcomes, read_models(models))
    outcomes = outcomes.select(arms=names)
    with notes.status(f"training {router} on {outcomes.n_queries:,} queries"):
        trained, fit_s = fitted(router, outcomes, params, embedder=vectors)
    with notes.status("cross-validating"):
        found = cross_validate(router, outcomes, params, embedder=vectors)
    _save(trained, out)
    write_trained_on(out, outcomes.texts)
    routers.fit_cost_model(outcomes).save(out)
    routers.fit_latency_model(outcomes).save(out)
    if as_json:
        print_json(_facts(router, outcomes, left_out, found, fit_s, out))
        return
    _show(router, outcomes, left_out, found, fit_s, out)
    if embedder not in (None, "hashed"):
        console.print(f"and  embedder: {embedder}", highlight=False, markup=False)


def _chosen(outcomes: Outcomes, models: str | None) -> Outcomes:
    names = read_models(models)
    return outcomes if names is None else outcomes.select(arms=names)


def _train_on_preferences(router: Any, battles: Preferences, out: Path, as_json: bool) -> None:
    """What an answer costs or how long it takes no pair tells: served at list prices."""
    from suffice.routers.trained_on import write_trained_on

    if not hasattr(router, "fit_preferences"):
        raise ConfigError(f"{router.name} does not learn from preferences: give outcomes with --data")
    start = perf_counter()
    with notes.status(f"training {router.name} on {len(battles):,} pairs"):
        trained = router.fit_preferences(battles)
    fit_s = perf_counter() - start
    _save(trained, out)
    write_trained_on(out, battles.query)
    facts = {"router": router.name, "out": str(out), "n_pairs": len(battles), "arms": trained.arms}
    if as_json:
        print_json(facts | {"fit_s": fit_s})
        return
    _say(f"{router.name}: {len(battles):,} pairs, {len(trained.arms)} arms, {fit_s:.2f} s")
    _say(f"arms: {', '.join(trained.arms)}", style="dim")
    _say(f"saved in {out}; in suffice.yaml:  router: {{name: {router.name}, path: {out}}}")


def _check_free(out: Path) -> None:
    """Only an empty place or another trained router may be written over."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file: give a directory")
    nearest = next(one for one in (out, *out.absolute().parents) if one.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: {nearest} may not be written to")
    if out.is_dir() and any(out.iterdir()) and not (out / "router.json").is_file():
        raise ConfigError(
            f"--out {out} holds other things than a trained router, which would be mixed up with it: "
            "give a new directory"
        )


def _save(router: Router, out: Path) -> None:
    """With the time of training, for routers that keep it."""
    keeps_time = "trained_at" in inspect.signature(router.save).parameters
    when = {"trained_at": datetime.now(UTC).isoformat(timespec="seconds")} if keeps_time else {}
    router.save(out, **when)


def _facts(
    router: str,
    outcomes: Outcomes,
    left_out: dict[str, str],
    found: CrossValidated,
    fit_s: float,
    out: Path,
) -> dict[str, Any]:
    return {
        "router": router,
        "out": str(out),
        "n_train": outcomes.n_queries,
        "arms": outcomes.arms,
        "models_left_out": left_out,
        "cross_validation": found,
        "fit_s": fit_s,
    }


def _say(text: str, **style: Any) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True, **style)


def _show(
    router: str,
    outcomes: Outcomes,
    left_out: dict[str, str],
    found: CrossValidated,
    fit_s: float,
    out: Path,
) -> None:
    _say(f"{router}: {outcomes.n_queries:,} queries, {outcomes.n_arms} arms, {fit_s:.2f} s")
    _say(f"arms: {', '.join(outcomes.arms)}", style="dim")
    for model, why in left_out.items():
        notes.print(f"{model} left out: {why}", style="yellow", highlight=False, markup=False)
    if outcomes.n_arms == 1:
        notes.print(ONE_MODEL, style="yellow", highlight=False)
    scores = [f"quality {found.max_quality:.3f} at best"]
    if found.aiq is not None:
        scores.insert(0, f"AIQ {found.aiq:.3f}")
    if found.apgr is not None:
        scores.append(f"APGR {found.apgr:.3f}")
    _say(f"cross-validated: {', '.join(scores)}")
    _say(f"saved in {out}; in suffice.yaml:  router: {{name: {router}, path: {out}}}")
