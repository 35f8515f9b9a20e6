"""The stage `collect`: rows from one of the sources, redacted, counted, and a word on how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from suffice.datasets.asking import OVER_BUDGET
from suffice.distillation.collecting.asked import Asked, ask, read_queries
from suffice.distillation.collecting.forgetting import expire, forgotten, subject_digest
from suffice.distillation.collecting.learning_curve import LearningCurve, learning_curve
from suffice.distillation.collecting.outcomes import from_outcomes
from suffice.distillation.collecting.recorded import from_records, opened_store
from suffice.distillation.collecting.redaction import Redactor
from suffice.distillation.collecting.settings import Collecting
from suffice.distillation.flywheel import panel
from suffice.distillation.flywheel.answers import fault, label_of
from suffice.distillation.flywheel.preflight import check_name
from suffice.distillation.flywheel.project import Project, Task
from suffice.distillation.flywheel.rows import ROWS, Row, write_rows
from suffice.distillation.flywheel.runner import digest
from suffice.distillation.flywheel.work import Result, Stage, Work
from suffice.errors import ConfigError, DataError
from suffice.store.consents import KEYLESS


def collect(work: Work) -> Result:
    """Rows of the project's source.

    Raises
    ------
    ConfigError
        As `check_terms`.
    DataError
        If nothing can be learnt from what there is.
    """
    settings: Collecting = work.settings
    check_terms(work.project)
    asked: Asked | None = None
    if settings.source == "ask":
        rows = _wanted(
            read_queries(_file(work.project, settings), limit=settings.limit, seed=work.project.seed), work
        )
        redactor = Redactor()
        asked = ask([redactor.row(row) for row in rows] if settings.redact else rows, work)
        rows = asked.rows
    elif settings.source == "outcomes":
        rows = _wanted(from_outcomes(_file(work.project, settings), work.project.teacher), work)
        rows = rows[: settings.limit]
    else:
        expire(work.project, work.now, _keys(work.project, settings))
        rows = _records_of(work.project, settings, work.now)[-(settings.limit or 0) :]
    redactor = Redactor()
    if settings.redact or (settings.redact is None and settings.source == "records"):
        rows = [redactor.row(row) for row in rows]
    write_rows(rows, work.out / ROWS)
    return _told(rows, asked, redactor, work)


def _file(project: Project, settings: Collecting) -> Any:
    if settings.file is None:
        raise ConfigError(f"collect: {settings.source} needs a `file`", key="collect.file")
    return project.path(settings.file)


def check_terms(project: Project) -> None:
    """Whether the models whose answers are taken let another one be trained on them.

    Raises
    ------
    ConfigError
        If their terms do not allow it, or nobody has said.
    """
    settings = project.settings("collect", Collecting)
    if settings.source == "outcomes" and settings.may_train_on_output is not None:
        if not settings.may_train_on_output:
            raise ConfigError(
                f"the terms of {project.teacher!r} do not let a model be trained on its answers"
            )
        return
    names = settings.models if settings.source == "records" and settings.models else (project.teacher,)
    panel.check_may_train(project, names)


def _wanted(rows: Sequence[Row], work: Work) -> list[Row]:
    gone = forgotten(work.project)
    return [row for row in rows if row.subject is None or subject_digest(row.subject) not in gone]


def _records_of(project: Project, settings: Collecting, now: float) -> list[Row]:
    with opened_store(project, settings.store) as store:
        return list(
            from_records(
                store,
                settings.models or (project.teacher,),
                now=now,
                retention_days=settings.retention_days,
                days=settings.days,
                tenant=settings.tenant,
                keyless=settings.keyless,
                forgotten=forgotten(project),
            )
        )


def _keys(project: Project, settings: Collecting) -> set[str]:
    """Whose records may be used."""
    with opened_store(project, settings.store) as store:
        return {*store.consents().since(), *([KEYLESS] if settings.keyless else [])}


def _sources(project: Project, settings: Collecting, now: float) -> Mapping[str, str]:
    """The file's digest, and who must not be in it."""
    gone = {"forgotten": blake2b("".join(sorted(forgotten(project))).encode(), digest_size=12).hexdigest()}
    return gone if settings.source == "records" else {"file": digest(_file(project, settings)), **gone}


def _live(project: Project, settings: Collecting, now: float) -> Mapping[str, str]:
    """That of all records that may be used now."""
    if settings.source != "records":
        return {}
    found = blake2b(digest_size=12)
    for row in _records_of(project, settings, now):
        found.update(msgspec.json.encode((row.id, row.meta.get("feedback"))))
    return {"records": found.hexdigest()}


def usable(rows: Sequence[Row], task: Task) -> tuple[list[tuple[Row, str]], Counter[str]]:
    """Rows with an answer that can be learnt from and the first such label; and why others have none."""
    good, faults = [], Counter[str]()
    for row in rows:
        good_ones = [one.text for one in row.samples if fault(one) is None]
        label = next((found for text in good_ones if (found := label_of(text, task)) is not None), None)
        if label is None:
            faults[fault(row.samples[0]) or "no label of the task"] += 1
        else:
            good.append((row, label))
    return good, faults


def _told(rows: Sequence[Row], asked: Asked | None, redactor: Redactor, work: Work) -> Result:
    if not rows:
        raise DataError(_why_none(asked, work.settings))
    good, faults = usable(rows, work.project.task)
    if not good:
        raise DataError(f"none of {len(rows):,} answers can be learnt from: {_listed(faults)}")
    counts: dict[str, Any] = {
        "rows": len(rows),
        "usable": len(good),
        "faults": dict(faults),
        "redacted": dict(redactor.counts),
    }
    n_without = sum(faults.values())
    notes = [f"{n_without:,} rows have no answer to learn from: {_listed(faults)}"] if faults else []
    if asked is not None:
        counts |= {
            "spent_usd": str(asked.spent_usd),
            "failed": asked.n_failed,
            "not_asked": asked.n_not_asked,
        }
        if asked.n_unknown:
            counts["set_aside_usd"] = str(asked.unknown_usd)
        notes += _unanswered(asked)
    notes += _few(good, work, counts)
    is_partial = asked is not None and bool(asked.n_failed or asked.n_not_asked)
    return Result(counts=counts, notes=tuple(notes), is_partial=is_partial)


def _why_none(asked: Asked | None, settings: Collecting) -> str:
    if asked is not None:
        said = [] if asked.reasons else ["there is no query"]
        return "; ".join(["the teacher answered nothing", *said, *_unanswered(asked)])
    if settings.source == "records":
        return (
            "no record may be used: their keys need --keep-content and consent (`suffice keys consent`), and "
            "answers of the teacher that are not older than the retention"
        )
    return "there is no row"


def _unanswered(asked: Asked) -> list[str]:
    notes = []
    parts = [(asked.n_failed, "failed"), (asked.n_not_asked, "were not made")]
    if said := " and ".join(f"{n:,} calls {what}" for n, what in parts if n):
        why = _listed(Counter(asked.reasons).most_common(3))
        over = " once limits.usd is raised" if OVER_BUDGET in asked.reasons else ""
        notes.append(f"{said} ({why}); the same command tries them again{over}")
    if asked.n_unknown:
        notes.append(
            f"{asked.n_unknown:,} calls were under way when a run was killed, and their cost is not known: "
            f"{asked.unknown_usd:.6f} USD are set aside for them beside what was spent, at the mean price of "
            "those answered; raise limits.usd by that if the provider did not bill them"
        )
    return notes


def _few(good: Sequence[tuple[Row, str]], work: Work, counts: dict[str, Any]) -> list[str]:
    """With fewer records than the limit: how many, and what more would bring."""
    wanted = work.project.limits.min_rows
    if len(good) >= wanted:
        return []
    said = f"{len(good):,} usable records, fewer than the {wanted:,} that training should have"
    if work.project.task.kind != "classify":
        return [f"{said}; what more would bring can be estimated for classifications alone"]
    curve = learning_curve(
        [row.query for row, _ in good], [label for _, label in good], at=(wanted,), seed=work.project.seed
    )
    if curve is None:
        return [f"{said}, and too few or of one label only to say what more would bring"]
    counts["learning_curve"] = msgspec.to_builtins(curve)
    return [f"{said}; {_forecast(curve)}"]


def _forecast(curve: LearningCurve) -> str:
    ahead = ", ".join(
        f"{low:.0%} to {high:.0%} with {n:,}" for n, (low, high) in sorted(curve.forecast.items())
    )
    return (
        f"a quick student agrees with {curve.agreement[-1]:.0%} of labels after {curve.sizes[-1]:,} records, "
        f"and may with {ahead}"
    )


def _listed(reasons: Any) -> str:
    pairs = reasons.items() if isinstance(reasons, Mapping) else reasons
    return ", ".join(f"{reason} ({n:,})" for reason, n in pairs)


STAGE = Stage(
    name="collect",
    run=collect,
    settings=Collecting,
    reads=("task.kind", "task.instruction", "task.labels", "teacher", "limits.min_rows", "seed"),
    aside=("concurrency", "timeout_s", "retries"),
    sources=_sources,
    live=_live,
    check=check_name,
    may_use=check_terms,
)
