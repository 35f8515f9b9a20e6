"""What `suffice demo` shows: a line or two per answer as it comes, then the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec
from rich.console import Console
from rich.markup import escape

from suffice.cli.demo_queries import DemoQuery, grade
from suffice.cli.formats import number, saving, seconds, share, usd
from suffice.types import Record

_HEAD = f"   {'model':<16}{'score':>6}{'confidence (uncalibrated)':>27}{'time':>9}{'cost':>13}{'saved':>8}"
_INDENT = "   "


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer; null is unknown."""

    task: str
    query: str
    model: str | None
    score: float | None
    """Predicted before the answer."""
    confidence: float | None
    """Exponential of the mean token log-probability: uncalibrated."""
    latency_s: float
    cost_usd: Decimal | None
    baseline_usd: Decimal | None
    """What the strongest candidate would have cost: an estimate, unless it was the one that answered."""
    saving: float | None
    answer: str
    is_right: bool | None
    baseline: str | None
    """The strongest candidate."""
    record_id: str
    error: str | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Over all answers."""

    n_queries: int
    n_failed: int
    n_right: int
    cost_usd: Decimal
    """Of those whose cost is known."""
    n_unpriced: int
    baseline: str | None
    """The strongest candidate."""
    baseline_usd: Decimal
    saving: float | None
    models: dict[str, int]
    """How often each answered."""


def row_of(query: DemoQuery, record: Record, answer: str) -> Row:
    """What is shown of a record."""
    decision = record.decision
    baseline = record.baseline_usd
    return Row(
        task=query.task,
        query=query.text,
        model=record.candidate,
        score=None if record.candidate is None else decision.of(decision.scores, record.candidate),
        confidence=record.confidence,
        latency_s=record.latency_s,
        cost_usd=record.cost_usd,
        baseline_usd=baseline,
        saving=saving(record.cost_usd, baseline),
        answer=answer,
        is_right=grade(query, answer) if record.error is None else None,
        baseline=decision.baseline,
        record_id=record.id,
        error=record.error,
    )


def totals_of(rows: Sequence[Row]) -> Totals:
    """Costs are summed where both cost and baseline are known, so that the saving compares like with like."""
    pairs = [(row.cost_usd, row.baseline_usd) for row in rows if row.error is None]
    known = [(cost, base) for cost, base in pairs if cost is not None and base is not None]
    cost = sum((cost for cost, _ in known), Decimal(0))
    baseline = sum((base for _, base in known), Decimal(0))
    return Totals(
        n_queries=len(rows),
        n_failed=sum(row.error is not None for row in rows),
        n_right=sum(bool(row.is_right) for row in rows),
        cost_usd=cost,
        n_unpriced=len(pairs) - len(known),
        baseline=next((row.baseline for row in rows if row.baseline), None),
        baseline_usd=baseline,
        saving=saving(cost, baseline),
        models=dict(Counter(row.model for row in rows if row.model is not None).most_common()),
    )


def show_head(out: Console) -> None:
    out.print(_HEAD, style="bold", highlight=False, soft_wrap=True)


def show_row(out: Console, place: int, row: Row) -> None:
    """The question and its answer, then who gave it and how."""
    width = max(60, min(out.width, 160))
    question = _short(row.query, width * 11 // 20)
    if row.error is not None:
        out.print(f"{place:>2} {escape(question)}", highlight=False, soft_wrap=True)
        said = f"{_INDENT}failed: {_short(row.error, 3 * width)}"
        out.print(escape(said), style="red", highlight=False, soft_wrap=True)
        return
    mark = "[green]right[/]" if row.is_right else "[yellow]wrong[/]"
    answer = escape(_short(row.answer, width - len(question) - 14))
    out.print(f"{place:>2} {escape(question)} -> {mark} [bold]{answer}[/]", highlight=False, soft_wrap=True)
    facts = (
        f"{_INDENT}{_short(row.model or '?', 15):<16}{number(row.score):>6}{number(row.confidence):>27}"
        f"{seconds(row.latency_s):>9}{usd(row.cost_usd):>13}{share(row.saving):>8}"
    )
    out.print(escape(facts), style="dim", highlight=False, soft_wrap=True)


def show_totals(out: Console, totals: Totals) -> None:
    """Cost against the strongest, and how the work was shared."""
    models = ", ".join(f"{name} {n}" for name, n in totals.models.items())
    out.print()
    out.print(
        f"answers:  {totals.n_queries}, right {totals.n_right}, failed {totals.n_failed}", highlight=False
    )
    out.print(f"models:   {escape(models) or 'none answered'}", highlight=False, soft_wrap=True)
    unpriced = f"; {totals.n_unpriced} of unknown cost left out" if totals.n_unpriced else ""
    out.print(f"cost:     {usd(totals.cost_usd)}{unpriced}", highlight=False)
    if totals.baseline is not None:
        out.print(
            f"always {escape(totals.baseline)}: {usd(totals.baseline_usd)} (estimate)"
            f"  ->  saved [bold]{share(totals.saving)}[/]",
            highlight=False,
        )


def _short(text: str, width: int) -> str:
    line = " ".join(text.split()) or "(nothing)"
    return line if len(line) <= width else f"{line[: width - 1]}…"
