"""The data card: where the rows come from, what was left out, and what is known to be wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from suffice.distillation.curating.language import guess
from suffice.distillation.curating.leaks import LeakReport
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import PARTS, Row


class PartFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One part."""

    n: int
    clusters: int
    labels: dict[str, int]
    """Empty where answers are free texts."""
    with_reference: int
    mean_score: float | None
    agrees_with_reference: float | None
    """Share of labels that equal the reference, of a classification."""
    languages: dict[str, int]
    chars: tuple[int, int, int] | None
    """Of a query: 5th, 50th and 95th percentile."""


def part_figures(rows: Sequence[Row], *, is_open: bool) -> PartFigures:
    """Counts of the rows of one part."""
    scores = [row.score for row in rows if row.score is not None]
    golds = [row for row in rows if row.reference is not None]
    same = [(row.label or "").casefold() == (row.reference or "").casefold() for row in golds]
    lengths = np.percentile([len(row.query) for row in rows], (5, 50, 95)) if rows else None
    return PartFigures(
        n=len(rows),
        clusters=len({row.cluster for row in rows}),
        labels={} if is_open else dict(Counter(row.label for row in rows if row.label).most_common()),
        with_reference=len(golds),
        mean_score=round(sum(scores) / len(scores), 4) if scores else None,
        agrees_with_reference=round(sum(same) / len(same), 4) if same and not is_open else None,
        languages=dict(Counter(guess(row.query) for row in rows).most_common(10)),
        chars=None if lengths is None else (int(lengths[0]), int(lengths[1]), int(lengths[2])),
    )


def card(
    project: Project,
    parts: Mapping[str, PartFigures],
    dropped: Mapping[str, int],
    leaks: LeakReport | None,
    earlier: Mapping[str, Mapping[str, Any]],
) -> str:
    """The card as Markdown; it quotes no row.

    Parameters
    ----------
    dropped : reason -> rows
    earlier : counts of the stages before, by name
    """
    lines = [
        "# Data card",
        "",
        f"Task: {project.task.kind}. Teacher: {project.teacher}. Seed: {project.seed}.",
        "",
        *_parts(parts),
        *_sources(earlier),
        "## Left out",
        "",
        *([f"- {why}: {n:,}" for why, n in dropped.items()] or ["nothing"]),
        "",
        *_leaks(leaks),
        "## Known limits",
        "",
        "- Labels are the teacher's word where they are not checked: its errors are learnt too.",
        "- Personal data are found by their form: names and addresses of places stay in the texts.",
        "- Languages are guessed from scripts and common words.",
        "- Test rows are not filtered by quality, so that the teacher is measured as it is.",
    ]
    return "\n".join(lines) + "\n"


def _parts(parts: Mapping[str, PartFigures]) -> list[str]:
    lines = [
        "| part | rows | clusters | with reference | label = reference | mean score | characters |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in PARTS:
        one = parts.get(name)
        if one is None:
            continue
        chars = "" if one.chars is None else " / ".join(map(str, one.chars))
        lines.append(
            f"| {name} | {one.n:,} | {one.clusters:,} | {one.with_reference:,} | "
            f"{_shown(one.agrees_with_reference)} | {_shown(one.mean_score)} | {chars} |"
        )
    lines.append("")
    for title, field in (("Labels", "labels"), ("Languages", "languages")):
        for name, one in parts.items():
            found = getattr(one, field)
            if found:
                listed = ", ".join(f"{label} {n:,}" for label, n in list(found.items())[:20])
                lines.append(f"- {title} of {name}: {listed}")
    return [*lines, ""]


def _sources(earlier: Mapping[str, Mapping[str, Any]]) -> list[str]:
    collected, judged = earlier.get("collect", {}), earlier.get("judge", {})
    lines = ["## Where it comes from", ""]
    lines += [f"- {name}: {collected[name]:,}" for name in ("rows", "usable") if name in collected]
    redacted = collected.get("redacted")
    if redacted:
        lines.append("- taken out: " + ", ".join(f"{kind} {n:,}" for kind, n in redacted.items()))
    lines += [f"- scored by {by}: {n:,}" for by, n in (judged.get("judged_by") or {}).items()]
    judge = judged.get("judge") or {}
    if judge.get("sensitivity") and judge.get("specificity"):
        yes, no = judge["sensitivity"], judge["specificity"]
        lines.append(
            f"- the judge accepts {yes[0]:.0%} ({yes[1]:.0%} to {yes[2]:.0%}) of good answers and "
            f"{1 - no[0]:.0%} ({1 - no[2]:.0%} to {1 - no[1]:.0%}) of wrong ones, by gold rows"
        )
    return [*lines, ""]


def _leaks(leaks: LeakReport | None) -> list[str]:
    if leaks is None:
        return []
    lines = [
        "## Leaks",
        "",
        f"{leaks.n_any:,} of {leaks.n_test:,} test rows ({leaks.share:.1%}) were seen:",
        "",
    ]
    lines += [f"- {kind}: {leak.n:,} ({leak.share:.1%})" for kind, leak in leaks.kinds.items()]
    return [*lines, ""]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
