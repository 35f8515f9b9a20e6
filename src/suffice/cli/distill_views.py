"""What is shown of each stage's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from suffice.cli.formats import seconds, usd

if TYPE_CHECKING:
    from suffice.distillation.flywheel import Done

Figures = Mapping[str, Any]
_MOST_LABELS: Final = 12


class View(NamedTuple):
    """What is shown of one stage."""

    finding: str = ""
    """A sentence."""
    rows: Sequence[tuple[str, ...]] = ()
    """Names and values; with `head`, a table."""
    head: tuple[str, ...] = ()
    report: str = ""
    """A file of the result to read on in."""
    usd: Decimal | float | str | None = None
    """What it has cost in all runs; None: nothing, or it is not known."""


def view_of(done: Done) -> View:
    """Of one of our stages, or of another package's."""
    return _VIEWS.get(done.manifest.stage, _any)(done)


def _collect(done: Done) -> View:
    c = done.manifest.counts
    n, good = c["rows"], c["usable"]
    said = f"{n:,} records, all of them usable" if n == good else f"{good:,} of {n:,} records are usable"
    curve = c.get("learning_curve") or {}
    steps = zip(curve.get("sizes", ()), curve.get("agreement", ()), strict=True)
    rows = [
        ("not usable", _listed(c["faults"])),
        ("taken out", _listed(c["redacted"])),
        ("calls that failed", _some(c.get("failed"))),
        ("calls not made", _some(c.get("not_asked"))),
        ("set aside", "" if "set_aside_usd" not in c else f"{usd(c['set_aside_usd'])} for calls cut off"),
        ("a quick student agrees", ", ".join(f"{share:.0%} after {size:,}" for size, share in steps)),
    ]
    return View(said, _filled(rows), report="rows.jsonl", usd=c.get("spent_usd"))


def _judge(done: Done) -> View:
    c = done.manifest.counts
    asked, mean = c.get("judge") or {}, c["mean_score"]
    said = f"{c['rows']:,} labels" + ("" if mean is None else f", worth {mean:.3f} on average")
    said += f"; {c['without_label']:,} records have none" if c["without_label"] else ""
    yes, no, decoys = asked.get("sensitivity"), asked.get("specificity"), asked.get("decoys") or {}
    rows = [
        *((f"scored by {by}", f"{n:,}") for by, n in c["judged_by"].items()),
        ("not scored", _some(c["unjudged"])),
        ("judge accepts of good answers", "" if not yes else _range(yes)),
        ("judge accepts of wrong answers", "" if not no else _range((1 - no[0], 1 - no[2], 1 - no[1]))),
        ("judge accepts of decoys", f"{decoys['n_yes']} of {decoys['n']}" if decoys.get("n") else ""),
        ("preference pairs", _some(c["pairs"])),
    ]
    return View(said, _filled(rows), report="rows.jsonl", usd=asked.get("spent_usd"))


def _curate(done: Done) -> View:
    c = done.manifest.counts
    parts, leaks = c["parts"], dict(c["leaks"])
    seen = leaks.pop("any")
    said = " and ".join(
        (
            f"{parts['train']:,} rows to train on, {parts['validation']:,} to validate",
            f"{parts['test']:,} to test",
        )
    )
    said += (
        f"; {seen:,} test rows ({c['leak_share']:.1%}) were seen in training"
        if seen
        else "; none of these was seen in training"
        if parts["test"]
        else ""
    )
    rows = [
        ("labels to learn", _listed(c["labels"])),
        ("left out", _listed(c["dropped"])),
        ("seen test rows", _listed({kind: n for kind, n in leaks.items() if n})),
    ]
    return View(said, _filled(rows), report="card.md")


def _baseline(done: Done) -> View:
    c = done.manifest.counts
    quality, part = c["quality"], "test" if "test" in c["quality"] else "validation"
    own = quality[part]
    rungs = sorted((who for who in own if who != "teacher"), key=lambda who: -own[who])
    said = f"on {_held(c['held'][part], c, part)} the teacher's quality is {own['teacher']:.3f}"
    said += f", that of the best rung, {rungs[0]}, {own[rungs[0]]:.3f}" if rungs else ""
    rows = [
        (
            who,
            _three(quality.get("validation", {}).get(who)),
            _three(quality.get("test", {}).get(who)),
            _interval(c["interval"].get(who)),
            usd(c["usd_per_1k"].get(who)),
            _latency(c["p50_s"].get(who)),
        )
        for who in ("teacher", *rungs)
    ]
    return View(said, rows, ("", "validation", "test", "95 %", "per 1,000", "p50"), report="answers.jsonl")


def _held(n: int, c: Figures, part: str = "test") -> str:
    """What the quality was measured on."""
    return f"{n:,} {part} rows {'with gold' if c['by_gold'] else 'by what the teacher said'}"


def _train(done: Done) -> View:
    c = done.manifest.counts
    facts = dict(c["facts"])
    said = f"{c['trainer']}, trained on {c['train']:,} records"
    accuracy = facts.pop("validation_accuracy", None)
    if accuracy is not None:
        said += f"; it agrees with {accuracy:.1%} of {c['validation']:,} validation labels"
    trials = [(f"tried {_listed({k: v for k, v in one.items() if k != 'loss'})}", f"loss {one['loss']:.4g}")
              for one in c["trials"]]  # fmt: skip
    rows = [
        *trials,
        ("chosen", _listed(c["chosen"])),
        *((name.replace("_", " "), value) for name, value in _lines(facts)),
        ("size", _size(c["bytes"])),
    ]
    return View(said, _filled(rows), usd=facts.get("usd"))


def _evaluate(done: Done) -> View:
    import msgspec

    from suffice.distillation.assessing import Assessment
    from suffice.distillation.assessing.stage import EVALUATION, REPORT

    c = done.manifest.counts
    found = msgspec.json.decode((done.folder / EVALUATION).read_bytes(), type=Assessment)
    first = [who for who in ("student", "teacher") if who in found.contestants]
    others = sorted(set(found.contestants) - set(first), key=lambda who: -found.contestants[who].quality)
    rows = [
        (who, _three(one.quality), _interval(one.interval), _three(one.agreement), usd(one.usd_per_1k),
         _latency(one.p50_s))
        for who in (*first, *others)
        for one in (found.contestants[who],)
    ]  # fmt: skip
    return View(_compared(c), rows, ("", "quality", "95 %", "as teacher", "per 1,000", "p50"), report=REPORT)


def _compared(c: Figures) -> str:
    """The student against the teacher, in a sentence."""
    difference, interval = c["difference"], c["interval"]
    if difference is None:
        return f"on {_held(c['test'], c)} the student's quality is {c['quality']['student']:.3f}"
    low, high = (100 * bound for bound in interval)
    said = f"on {_held(c['test'], c)} the student is {abs(100 * difference):.1f} points "
    said += f"{'better' if difference >= 0 else 'worse'} than the teacher ({low:+.1f} to {high:+.1f})"
    if c["cost_ratio"]:
        said += f", at {_part(c['cost_ratio'])} of its cost"
    if c["speed_up"]:
        digits = ".3g" if c["speed_up"] < 100 else ",.0f"
        said += f", {c['speed_up']:{digits}} times as fast"
    return said


def _promote(done: Done) -> View:
    c = done.manifest.counts
    quality, cost = c["quality"], c["cost_share"]
    least = f"at least {_points(c['at_least'])} (wanted: above {_points(-c['margin'])})"
    sure = "" if c["threshold"] is None else f", from confidence {c['threshold']:g} on"
    rows = [
        ("rows that judge", f"{c['judged_by']:,}"),
        (f"served ({c['serve']})", _three(quality["served"])),
        ("student alone", _three(quality["student"])),
        ("teacher", _three(quality["teacher"])),
        ("against the teacher", f"{_points(c['difference'])} points, {least}"),
        (f"against {c['baseline']}", "" if c["baseline"] is None else
         f"at least {_points(c['over_baseline'])} (wanted: above 0)"),
        ("kept by the student", f"{c['kept']:.0%}{sure}"),
        ("cost", "" if cost is None else f"{_part(cost)} of the teacher's"),
    ]  # fmt: skip
    said = done.manifest.notes[0] if done.manifest.notes else ""
    return View(said, _filled(rows), report="promotion.json")


def _any(done: Done) -> View:
    """A stage of another package."""
    return View(rows=[(name.replace("_", " "), value) for name, value in _lines(done.manifest.counts)])


_VIEWS: Final[Mapping[str, Callable[[Done], View]]] = {
    "collect": _collect,
    "judge": _judge,
    "curate": _curate,
    "baseline": _baseline,
    "train": _train,
    "evaluate": _evaluate,
    "promote": _promote,
}


def _filled(rows: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    return [row for row in rows if row[1]]


def _some(n: int | None) -> str:
    return f"{n:,}" if n else ""


def _listed(counts: Mapping[str, Any]) -> str:
    """ "up 151, down 133"."""
    shown = [f"{name} {_figure(n)}" for name, n in list(counts.items())[:_MOST_LABELS]]
    rest = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _range(values: Sequence[float]) -> str:
    """A share and its interval."""
    return f"{values[0]:.0%} ({values[1]:.0%} to {values[2]:.0%})"


def _interval(values: Sequence[float] | None) -> str:
    return "" if values is None else f"{values[0]:.3f}-{values[1]:.3f}"


def _part(ratio: float) -> str:
    """A share of a cost: "44 %", "1/9,959"."""
    return f"{ratio:.0%}" if ratio >= 0.1 else f"1/{1 / ratio:,.0f}" if ratio > 0 else "none"


def _latency(value: float | None) -> str:
    if value is None or value >= 0.1:
        return seconds(value)
    return f"{1000 * value:.2g} ms"


def _size(n: int) -> str:
    return f"{n / 1e6:,.1f} MB" if n >= 1e6 else f"{n / 1e3:,.0f} kB"


def _lines(counts: Figures, before: str = "") -> Iterator[tuple[str, str]]:
    """Figures, those inside figures by "outer inner"; what is empty is left out."""
    for name, value in counts.items():
        title = f"{before} {name}".strip()
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            yield from _lines(value, title)
        elif isinstance(value, dict):
            if value:
                yield title, ", ".join(f"{key} {_figure(one)}" for key, one in value.items())
        elif value is not None and value not in ([], ()):
            yield title, _figure(value)


def _figure(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "?"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{Decimal(f'{value:.4g}'):f}"  # no exponents
    if isinstance(value, list | tuple):
        if len(value) == 2 and all(isinstance(one, float) for one in value):
            return f"{_figure(value[0])} to {_figure(value[1])}"
        return "(" + ", ".join(map(_figure, value)) + ")"
    return str(value)
