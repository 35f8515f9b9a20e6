"""`suffice route`: the decision alone."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from suffice.cli.ask import read_question
from suffice.cli.base import console, print_json
from suffice.cli.formats import decision_table
from suffice.cli.setting import ConfigOption, JsonOption, configuration
from suffice.config import Config
from suffice.types import Decision, Explanation, Query


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("route")(_route)


def _route(
    question: Annotated[str, typer.Argument(help="What would be asked; - reads it from stdin.")],
    model: Annotated[str, typer.Option("--model", "-m", help="auto, or auto:NAME.")] = "auto",
    config: ConfigOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what the scores rest on.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which model would be asked and why, with scores and costs; asks nobody."""
    text = read_question(question)
    decision, explanation = asyncio.run(_decide(configuration(config), text, model))
    if as_json:
        print_json({"decision": decision, "explanation": explanation if explain else None})
        return
    console.print(decision_table(decision))
    console.print(f"[bold]{escape(decision.candidate)}[/]: {escape(decision.reason)}", highlight=False)
    if explain and explanation is not None:
        for line in (explanation.summary, *explanation.evidence):
            console.print(escape(line), style="dim", highlight=False, soft_wrap=True)


async def _decide(config: Config, text: str, model: str) -> tuple[Decision, Explanation | None]:
    from suffice.client import AsyncClient

    async with AsyncClient(config) as client:
        decision = await client.route(text, model=model)
        pipeline = client.engine.pipelines.get(model.partition(":")[2] or model)
        explanation = None if pipeline is None else pipeline.router.explain(Query(text=text))
        return decision, explanation
