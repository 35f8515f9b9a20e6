"""`suffice ask`: one question, one answer."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from suffice.cli.base import fail, notes, print_json
from suffice.cli.formats import one_line
from suffice.cli.setting import ConfigOption, JsonOption, configuration
from suffice.config import Config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ask")(_ask)


def _ask(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from stdin.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="auto, auto:NAME or a candidate of the panel.")
    ] = "auto",
    config: ConfigOption = None,
    stream: Annotated[bool, typer.Option(help="Show the answer as it comes.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Ask one question: the answer on stdout, who gave it and why on stderr."""
    text = read_question(question)
    said, record = asyncio.run(_answer(configuration(config), text, model, stream and not as_json))
    if as_json:
        print_json({"answer": said, "record": record})
        return
    if not stream:
        sys.stdout.write(f"{said}\n")
    notes.print(escape(one_line(record)), style="dim", highlight=False, soft_wrap=True)


def read_question(question: str) -> str:
    """The question, or stdin for "-"; ends the command where there is nothing."""
    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        fail("the question is empty: write one, or pipe it into `suffice ask -`", code=2)
    return text


async def _answer(config: Config, text: str, model: str, is_stream: bool) -> tuple[str, Any]:
    """The answer, shown on the way where it is streamed, and its record."""
    from suffice.client import AsyncClient
    from suffice.engine import Request
    from suffice.types import Query

    async with AsyncClient(config) as client:
        request = Request(query=Query.from_messages([{"role": "user", "content": text}]), model=model)
        if is_stream:
            from suffice.cli.streaming import show

            return await show(client.engine, request)
        result = await client.engine.answer(request)
        return result.answer.content, result.record
