"""`suffice records`: what was asked, who answered, what it cost."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.cli.formats import count, decision_table, number, seconds, usd
from suffice.cli.setting import JsonOption
from suffice.cli.store import SinceOption, StoreOption, opened, since
from suffice.errors import NotFound
from suffice.protocols import Store
from suffice.types import Feedback, Record

_WIDE = 100
"""Columns from which on there is room for the latency and the model asked for."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("records")(_records)


def _records(
    record_id: Annotated[str | None, typer.Option("--id", help="Everything about one record.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 20,
    since_text: SinceOption = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant's alone.")] = None,
    store_url: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was recorded, newest first."""
    with opened(store_url) as store:
        if record_id is not None:
            _one(store, record_id, tenant, as_json=as_json)
            return
        found = store.records(tenant=tenant, since=since(since_text, time.time()), limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        notes.print("no record yet" if since_text is None else f"no record since {since_text}", style="dim")
        return
    console.print(_table(found))


def _table(records: list[Record]) -> Table:
    is_wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False)
    for title in ("time", "id", "model", "cost", *(["latency"] if is_wide else []), "status"):
        right = title in ("cost", "latency")
        width = {"id": len(records[0].id), "model": 12}.get(title)
        table.add_column(title, justify="right" if right else "left", no_wrap=True, min_width=width)
    for record in records:
        asked, answered = record.requested_model, record.candidate or "nobody"
        table.add_row(
            _clock(record.created_at)[5:16],
            record.id,
            escape(f"{asked} > {answered}" if is_wide and asked != answered else answered),
            usd(record.cost_usd) + ("~" if record.is_estimate else ""),
            *([seconds(record.latency_s)] if is_wide else []),
            "[green]ok[/]" if record.error is None else f"[red]{record.status}[/]",
        )
    return table


def _one(store: Store, record_id: str, tenant: str | None, *, as_json: bool) -> None:
    record = store.record(record_id, tenant)
    if record is None:
        raise NotFound(f"there is no record {record_id!r}; `suffice records` lists those there are")
    said = store.feedback(record_id, tenant)
    if as_json:
        print_json({"record": record, "feedback": said})
        return
    for name, value in _facts(record):
        console.print(f"[bold]{name:<12}[/] {escape(value)}", highlight=False, soft_wrap=True)
    console.print(decision_table(record.decision))
    for attempt in record.attempts:
        outcome = attempt.error or f"answered, {usd(attempt.cost_usd)}"
        if attempt.role == "cancelled":
            outcome = f"no longer needed, about {usd(attempt.cost_usd)}"
        role = f" ({attempt.role})" if attempt.role else ""
        console.print(
            f"  {escape(attempt.candidate)}{role} after {seconds(attempt.latency_s)}: {escape(outcome)}"
        )
    for word in said:
        console.print(f"  feedback {escape(_word(word))}", highlight=False)


def _retrieval(record: Record) -> str:
    told = record.retrieval
    if told is None:
        return ""
    cited = ", ".join(one.source for one in told.citations)
    found = f"{told.strategy}, {_counted(told.n_lookups, 'look-up')}, {_counted(told.n_passages, 'passage')}"
    return f"{found}, cited: {cited}" if cited else found


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _reuse(record: Record) -> str:
    told = record.reuse
    if told is None:
        return ""
    whose = f", {told.of}" if told.of not in (None, record.id) else ""
    return f"{told.way}{whose}" + (f", saved {usd(told.saved_usd)}" if told.saved_usd is not None else "")


def _facts(record: Record) -> list[tuple[str, str]]:
    facts = [
        ("id", record.id),
        ("time", _clock(record.created_at)),
        ("tenant", record.tenant),
        ("asked for", record.requested_model),
        ("answered by", record.candidate or "nobody"),
        ("reason", record.decision.reason),
        ("cost", usd(record.cost_usd) + (", estimated" if record.is_estimate else "")),
        (
            "baseline",
            f"{usd(record.baseline_usd)} with {record.decision.baseline}" * bool(record.baseline_usd),
        ),
        ("latency", f"{seconds(record.latency_s)}, first token {seconds(record.first_token_s)}"),
        ("tokens", f"{count(record.usage.prompt_tokens)} in, {count(record.usage.completion_tokens)} out"),
        ("confidence", _confidence(record)),
        ("cache", _reuse(record)),
        ("retrieval", _retrieval(record)),
        ("status", str(record.status)),
        ("error", record.error or ""),
        ("query", record.query or ""),
        ("answer", record.answer or ""),
    ]
    return [(name, value) for name, value in facts if value]


def _confidence(record: Record) -> str:
    return number(record.confidence) if record.confidence is not None else record.no_confidence or ""


def _word(word: Feedback) -> str:
    return f"{word.name} {word.value:g} at {_clock(word.created_at)}" + (
        f": {word.comment}" if word.comment else ""
    )


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
