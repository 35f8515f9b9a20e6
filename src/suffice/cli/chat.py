"""`suffice chat`: a conversation. Ctrl-C stops an answer, Ctrl-D the session."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import typer
from rich.markup import escape

from suffice.cli.base import console, notes
from suffice.cli.formats import decision_table, one_line, saving, share, usd
from suffice.cli.setting import ConfigOption, configuration
from suffice.cli.streaming import show
from suffice.client import AsyncClient
from suffice.engine import Request
from suffice.errors import SufficeError
from suffice.types import Query, Record

HELP = """\
/model NAME   ask NAME from now on (auto, auto:NAME or a candidate); without NAME, list them
/route        why the last question went where it went; /route TEXT decides without asking
/cost         what this session cost
/new          forget the conversation
/quit         end (as Ctrl-D does)"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat")(_chat)


def _chat(
    model: Annotated[
        str, typer.Option("--model", "-m", help="auto, auto:NAME or a candidate of the panel.")
    ] = "auto",
    config: ConfigOption = None,
) -> None:
    """Talk; every question is routed anew. /help lists the commands."""
    is_typed = sys.stdin.isatty()
    with asyncio.Runner() as runner:
        session = Session(AsyncClient(configuration(config)), model)
        try:
            if is_typed:
                notes.print("/help lists the commands; Ctrl-D ends", style="dim")
            for line in _lines(is_typed):
                try:
                    if not runner.run(session.take(line)):
                        break
                except SufficeError as error:
                    notes.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
                except KeyboardInterrupt:
                    notes.print("stopped", style="dim")
        finally:
            runner.run(session.client.aclose())


def _lines(is_typed: bool) -> Iterator[str]:
    """What is typed or piped in, line by line, until its end."""
    if not is_typed:
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  gives input() its editing and history
    while True:
        try:
            yield input("> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            notes.print("\nCtrl-D ends", style="dim")


class Session:
    """One conversation and what it cost."""

    def __init__(self, client: AsyncClient, model: str = "auto") -> None:
        self.client = client
        self.model = model
        self._messages: list[dict[str, str]] = []
        self._records: list[Record] = []
        self._commands = {
            "/model": self._set_model,
            "/route": self._show_route,
            "/cost": self._show_cost,
            "/new": self._forget,
            "/help": self._help,
        }

    async def take(self, line: str) -> bool:
        """Do what a line says; False ends the session."""
        text = line.strip()
        name, _, rest = text.partition(" ")
        if name in ("/quit", "/exit"):
            return False
        if name.startswith("/"):
            command = self._commands.get(name)
            if command is None:
                notes.print(f"there is no {escape(name)}; /help lists the commands", highlight=False)
            else:
                await command(rest.strip())
        elif text:
            await self._ask(text)
        return True

    async def _ask(self, text: str) -> None:
        """What was said before an interruption stays in the conversation."""
        messages = [*self._messages, {"role": "user", "content": text}]
        said: list[str] = []
        try:
            request = Request(query=Query.from_messages(messages), model=self.model)
            _, record = await show(self.client.engine, request, said)
        finally:
            if said:
                self._messages = [*messages, {"role": "assistant", "content": "".join(said)}]
        self._records.append(record)
        notes.print(escape(one_line(record)), style="dim", highlight=False, soft_wrap=True)

    async def _set_model(self, name: str) -> None:
        names = self.client.engine.names
        if name in names or name.startswith("router-"):
            self.model = name
        elif name:
            notes.print(f"there is no {escape(name)} in the panel", highlight=False)
        listed = ", ".join(names)
        console.print(f"asking {escape(self.model)}; there are: {escape(listed)}", highlight=False)

    async def _show_route(self, text: str) -> None:
        if text:
            query = Query.from_messages([*self._messages, {"role": "user", "content": text}])
            decision = await self.client.engine.decide(Request(query=query, model=self.model))
        elif self._records:
            decision = self._records[-1].decision
        else:
            notes.print("nothing was asked yet; /route TEXT decides without asking")
            return
        console.print(decision_table(decision))
        console.print(escape(decision.reason), highlight=False)

    async def _show_cost(self, _: str) -> None:
        costs = [record.cost_usd for record in self._records]
        known = sum((cost for cost in costs if cost is not None), Decimal(0))
        unknown = sum(cost is None for cost in costs)
        said = f"{len(costs)} answer{'s' * (len(costs) != 1)}, {usd(known)}"
        if unknown:
            said += f" ({unknown} of unknown cost not counted)"
        pairs = [(r.cost_usd, r.baseline_usd) for r in self._records]
        compared = [(cost, base) for cost, base in pairs if cost is not None and base is not None]
        if compared:
            paid, baseline = (sum(one, Decimal(0)) for one in zip(*compared, strict=True))
            saved = share(saving(paid, baseline))
            said += f"; always asking the strongest: {usd(baseline)} (estimate), saved {saved}"
        console.print(said, highlight=False, soft_wrap=True)

    async def _forget(self, _: str) -> None:
        self._messages = []

    async def _help(self, _: str) -> None:
        console.print(HELP, markup=False, highlight=False)
