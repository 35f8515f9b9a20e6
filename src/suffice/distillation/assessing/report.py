"""An evaluation in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from suffice.distillation.assessing.answers import STUDENT, TEACHER
from suffice.distillation.assessing.figures import Assessment, Contestant, Duel
from suffice.distillation.assessing.slices import Example, Slice


def markdown(found: Assessment, title: str) -> str:
    """The whole report."""
    what = "gold answers" if found.by_gold else "the teacher's answers, 1 by definition where it gave one"
    parts = [
        f"# {title}",
        f"{found.n:,} held rows, graded by {what}.",
        lines(CONTESTANTS, contestant_rows(found)),
        "## The student against the others, on the same rows",
        lines(DUELS, duel_rows(found.duels)),
    ]
    if found.unseen:
        parts += [
            f"Without the {found.n_seen:,} rows that were seen in training:",
            lines(DUELS, duel_rows(found.unseen)),
        ]
    if found.win_rate is not None:
        parts.append(f"A judge prefers the student in {found.win_rate:.1%} of {found.n_judged:,} pairs.")
    if found.deferral:
        parts += [
            "## Keep what the student is sure of, send the rest to the teacher",
            lines(DEFERRAL, deferral_rows(found)),
        ]
    for kind, kinds in found.slices.items():
        rows = [
            (one.name, f"{one.n:,}", _share(one.quality), _range(one.interval), _share(one.teacher))
            for one in kinds
        ]
        parts += [f"## By {kind}", lines(("rows", "n", "student", "95 %", "teacher"), rows)]
        examples = [_error(part.name, one) for part, one in _surest(kinds)]
        if kind in ("label", "confidence") and examples:
            parts += ["Surest errors:", "\n".join(examples)]
    parts += [f"Note: {note}" for note in found.notes]
    return "\n\n".join(parts) + "\n"


def _surest(kinds: Sequence[Slice]) -> list[tuple[Slice, Example]]:
    """One of each slice, the surest first."""
    found = [(part, part.examples[0]) for part in kinds if part.examples]
    return sorted(found, key=lambda one: -(one[1].confidence or 0.0))


def _error(name: str, one: Example) -> str:
    sure = "" if one.confidence is None else f" ({one.confidence:.2f})"
    query, wanted, said = (_plain(text) for text in (one.query, one.wanted, one.said))
    return f"- {_plain(name)}: `{query}`, wanted `{wanted}`, said `{said}`{sure}"


CONTESTANTS = ("", "quality", "95 %", "agreement", "USD / 1k", "p50 s", "p95 s", "ECE")
DUELS = ("student against", "difference", "95 %", "only student", "only other", "p", "cost ratio", "speed-up")
DEFERRAL = ("student answers", "from confidence", "quality", "USD / 1k")


def contestant_rows(found: Assessment) -> list[tuple[str, ...]]:
    """The student first, then the teacher, then rungs by quality."""
    others = sorted(
        (who for who in found.contestants if who not in (STUDENT, TEACHER)),
        key=lambda who: -found.contestants[who].quality,
    )
    return [
        _contestant(who, found.contestants[who])
        for who in (STUDENT, TEACHER, *others)
        if who in found.contestants
    ]


def _contestant(who: str, one: Contestant) -> tuple[str, ...]:
    return (
        who,
        _share(one.quality),
        _range(one.interval),
        _share(one.agreement),
        _number(one.usd_per_1k, ".4g"),
        _number(one.p50_s, ".3g"),
        _number(one.p95_s, ".3g"),
        _number(one.ece, ".3f"),
    )


def duel_rows(duels: dict[str, Duel]) -> list[tuple[str, ...]]:
    """One line for each other."""
    return [
        (
            who,
            f"{100 * one.difference:+.1f}",
            f"{100 * one.interval[0]:+.1f} to {100 * one.interval[1]:+.1f}",
            f"{one.student_only:,}",
            f"{one.other_only:,}",
            f"{one.p:.2g}",
            _number(one.cost_ratio, ".3g"),
            _number(one.speed_up, ".3g"),
        )
        for who, one in duels.items()
    ]


def deferral_rows(found: Assessment) -> list[tuple[str, ...]]:
    """Every other point of the curve."""
    return [
        (
            _share(one.coverage),
            _number(one.threshold, ".3f"),
            _share(one.quality),
            _number(one.usd_per_1k, ".4g"),
        )
        for one in found.deferral[::2]
    ]


def lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    ruled = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in ruled)


def _plain(text: str) -> str:
    """One line that breaks neither a table nor a code span."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _range(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
