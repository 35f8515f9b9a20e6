"""What `suffice confidence run` prints and writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from rich.table import Table

from suffice.cli.base import console, notes
from suffice.cli.data import write_atomically

if TYPE_CHECKING:
    from suffice.evaluation.known_answers import KnownAnswers
    from suffice.evaluation.signal_table import SignalTable
    from suffice.plans.probes import Known

_NARROW = ("±", "PRR", "conf", "Brier", "tokens", "tok", "acc")
"""Left out one after the other where the terminal has no room."""


def show(found: KnownAnswers, out: Path | None, html: Path | None, kinds: Sequence[str]) -> None:
    """The tables, the notes, and where the files are."""
    from suffice.reports.confidence_table import HEAD, HELD_HEAD, held_rows, rows
    from suffice.reports.confidence_table import notes as said

    console.print(f"{found.model}: {found.n:,} questions, {found.accuracy:.1%} right", highlight=False)
    _print(HEAD, rows(found))
    console.print("\ncalibrated on one half, judged on the other, both ways round", highlight=False)
    _print(HELD_HEAD, held_rows(found))
    for note in said(found):
        notes.print(note, style="dim", highlight=False, markup=False)
    if found.spent_usd is not None:
        notes.print(f"{found.spent_usd} USD spent, earlier runs included", style="dim", highlight=False)
    if out is not None:
        console.print(f"evidence and pictures ({', '.join(kinds)}) in {out}", highlight=False, soft_wrap=True)
    if html is not None:
        console.print(f"report in {html}", highlight=False, soft_wrap=True)


def _print(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    keep = list(range(len(head)))
    for name in _NARROW:
        width = sum(max(len(row[i]) for row in (head, *rows)) + 1 for i in keep) - 1
        if width <= console.width:
            break
        keep = [i for i in keep if head[i] != name]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i in keep:
        is_text = head[i] in ("signal", "calibrators")
        table.add_column(head[i], justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[i] for i in keep))
    console.print(table, highlight=False)


def write_evidence(path: Path, known: Sequence[Known], table: SignalTable) -> None:
    """A line per question: answer, quality, and every signal's confidence; `suffice calibrate` reads it."""
    lines = []
    for i, one in enumerate(known):
        answer = one.evidence.first("greedy")
        row = {
            "query_id": one.evidence.query_id,
            "query": one.evidence.question,
            "response": answer.text if answer else None,
            "score": one.quality,
            "confidence": {
                name: None if np.isnan(values[i]) else float(values[i])
                for name, values in table.confidence.items()
            },
            "missing": one.evidence.missing,
        }
        lines.append(msgspec.json.encode(row).decode())
    write_atomically(path, "\n".join(lines) + "\n")
