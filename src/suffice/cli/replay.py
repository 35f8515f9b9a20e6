"""`suffice replay`: a policy that learns on the way, under a budget, on recorded outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from suffice.cli.base import notes, print_json
from suffice.cli.data import (
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
from suffice.cli.evaluate import progress

if TYPE_CHECKING:
    from suffice.evaluation import Replay


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(_replay)


def _replay(
    data: Annotated[Path, typer.Option(help="Outcomes that come one by one.")],
    policy: Annotated[str, typer.Option(help="A bandit, a router (needs --warm), or truth.")],
    budget_usd: Annotated[float, typer.Option(help="USD per query, above 0.")],
    warm: Annotated[Path | None, typer.Option(help="Outcomes known beforehand, of other queries.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="PARAMETER=VALUE of the policy; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Random orders of the stream.")] = 10,
    pacing: Annotated[str, typer.Option(help="resolve, dual, on_mckp or static.")] = "resolve",
    feedback: Annotated[
        Literal["bandit", "full"], typer.Option(help="Rewards of the chosen model, or of all.")
    ] = "bandit",
    feedback_rate: Annotated[float, typer.Option(help="Share of answers that get feedback.")] = 1.0,
    delay: Annotated[int, typer.Option(min=0, help="Queries until feedback comes.")] = 0,
    scenario: Annotated[str, typer.Option(help="none, drift, outage, price_change or new_model.")] = "none",
    embedder: EmbedderOption = None,
    models: ModelsOption = None,
    prices: PricesOption = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Play a policy on recorded outcomes, one query after another, never above the budget."""
    from suffice import embedders
    from suffice.catalogue import read_prices
    from suffice.evaluation import replay_policy

    stream = read_outcomes(data, where, arm, aggregate)
    past = None if warm is None else read_outcomes(warm, where, arm, aggregate)
    if prices is not None:
        table = read_prices(prices)
        stream = stream.with_prices(table)
        past = None if past is None else past.with_prices(table)
    with progress() as (on_plan, on_step):
        found = replay_policy(
            stream,
            past,
            policy=policy,
            params={key: json_value(value) for key, value in pairs(settings, "--set").items()},
            budget_usd=budget_usd,
            n_seeds=seeds,
            pacing=pacing,
            feedback_rate=feedback_rate,
            delay=delay,
            feedback=feedback,
            scenario=scenario,
            models=read_models(models),
            embedder=None if embedder is None else embedders.create(embedder),
            on_plan=on_plan,
            on_step=on_step,
        )
    if as_json:
        print_json(found)
        return
    _show(found)


def _show(found: Replay) -> None:
    from suffice.cli.showing import print_grid
    from suffice.reports import replay_curve, replay_figures

    print_grid(replay_figures(found))
    print_grid(replay_curve(found))
    if found.served < 1:
        share = 1 - found.served
        notes.print(f"{share:.1%} of the queries were refused: the budget had no room", style="yellow")
    if found.n_shared:
        notes.print(
            f"{found.n_shared:,} queries stand in the warm data too: known beforehand", style="yellow"
        )
    if found.overspend > 0:
        notes.print(f"overspent by {found.overspend:.3g} USD", style="red")
