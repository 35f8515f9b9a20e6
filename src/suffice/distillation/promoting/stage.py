"""The stage `promote`: the gate's word on the held rows, and what goes into the panel if it lets through."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from suffice.distillation.assessing.answers import (
    ANSWERS,
    STUDENT,
    TEACHER,
    Said,
    column,
    read_said,
    table,
)
from suffice.distillation.flywheel.rows import TEST, VALIDATION, Row
from suffice.distillation.flywheel.work import Done, Result, Stage, Work
from suffice.distillation.promoting.deferral import Deferral, Served, alone, certified, parted, served
from suffice.distillation.promoting.gate import Verdict, judge
from suffice.distillation.promoting.paired import Paired
from suffice.distillation.promoting.rivals import Rung, rivals, without_own
from suffice.distillation.promoting.settings import Promoting
from suffice.errors import ConfigError, DataError
from suffice.providers.student_card import StudentCard, read_card
from suffice.types import FloatArray

PROMOTION: Final = "promotion.json"
Table = Mapping[str, list[Said]]


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """`promotion.json`."""

    verdict: Verdict
    serve: str
    """"cascade" or "student": what the verdict is about."""
    threshold: float | None
    """On the student's confidence: below it the teacher is asked."""
    certificate: dict[str, Any] | None
    """Of the threshold, on calibration rows."""
    served: Served
    """On the rows that judged."""
    student: Verdict
    """Of the student alone, for comparison, on the same rows."""
    entry: dict[str, Any]
    """Its entry under `models`; "{version}" is its folder."""


def promote(work: Work) -> Result:
    """`promotion.json`, and for a student that passes `student/` and `cascade/`.

    Raises
    ------
    DataError
        If the held rows have no answers of student and teacher.
    ConfigError
        If an adapter's base is not named.
    """
    own: Promoting = work.settings
    rows = work.rows("curate")
    said = read_said(work.inputs["evaluate"] / ANSWERS)
    card = read_card(work.inputs["train"])
    test, validation = (held(rows, said, part) for part in (TEST, VALIDATION))
    if not len(test[0]):
        raise DataError("no test row was answered by both student and teacher: nothing to judge by")
    found, verdict, deferral, mine = _judged(test, validation[0], card, own, work)
    entry = _entry(card, own)
    figures = served(deferral, found)[2]
    promotion = Promotion(
        verdict=verdict,
        serve="student" if deferral.certificate is None else "cascade",
        threshold=deferral.threshold,
        certificate=msgspec.to_builtins(deferral.certificate),
        served=figures,
        student=mine,
        entry=entry,
    )
    data = msgspec.json.format(msgspec.json.encode(promotion), indent=1)
    (work.out / PROMOTION).write_bytes(data + b"\n")
    if verdict.passes:
        shutil.copytree(
            work.inputs["train"], work.out / "student", ignore=shutil.ignore_patterns("manifest.json")
        )
        deferral.cascade.save(work.out / "cascade")
    return Result(
        counts=_counts(promotion), notes=_notes(promotion), stop=None if verdict.passes else _no(verdict)
    )


def _judged(
    test: tuple[Paired, Mapping[str, Rung]],
    validation: Paired,
    card: StudentCard,
    own: Promoting,
    work: Work,
) -> tuple[Paired, Verdict, Deferral, Verdict]:
    """Rows that judge, the verdict on what is served, how that is, and the verdict on the student alone."""
    rows, others = test
    teacher = work.project.teacher
    calibrates, judges = parted(rows, own.calibration, work.project.seed)
    if own.serve == "student" or not calibrates.any() or not judges.any():
        calibrates, judges = np.zeros(len(rows), bool), np.ones(len(rows), bool)
    found = rows.select(judges)
    rungs = {name: rung.select(judges) for name, rung in others.items()}
    rungs = without_own(rungs, card, found.student, alpha=own.alpha, clusters=found.groups())

    def verdict(quality: FloatArray, usd: FloatArray) -> Verdict:
        no_dearer = {name: rung.quality for name, rung in rivals(rungs, usd, found.teacher_usd).items()}
        return judge(
            quality, found.teacher, no_dearer,
            margin=work.project.margin, alpha=own.alpha, least=own.least, clusters=found.groups(),
        )  # fmt: skip

    mine = verdict(found.student, found.student_usd)
    if calibrates.any():
        deferral = certified(
            STUDENT, teacher, rows.select(calibrates),
            epsilon=max(work.project.margin, 1e-6), delta=own.delta, promise=own.promise,
            validation=validation,
        )  # fmt: skip
        if own.serve == "cascade" or deferral.threshold is not None:
            quality, kept, _ = served(deferral, found)
            usd = found.student_usd + np.where(kept, 0.0, found.teacher_usd)
            return found, _worth(verdict(quality, usd), deferral), deferral, mine
    return found, mine, alone(STUDENT, teacher, rows), mine


def _worth(verdict: Verdict, deferral: Deferral) -> Verdict:
    """A cascade that sends all to the teacher passes every gate and saves nothing."""
    if deferral.threshold is not None:
        return verdict
    why = "no threshold keeps the promise: more training or calibration records, or a bigger student"
    return msgspec.structs.replace(verdict, passes=False, why=why)


def held(rows: Sequence[Row], said: Sequence[Said], part: str) -> tuple[Paired, Mapping[str, Rung]]:
    """Rows of a part that student and teacher answered, and what the rungs made of them."""
    answered = {
        who: {one.id for one in said if one.part == part and one.who == who} for who in (STUDENT, TEACHER)
    }
    both = [row for row in rows if row.part == part and all(row.id in ids for ids in answered.values())]
    by_who: Table = table(said, part, both) if both else {}
    quality = {who: column(own, "quality") for who, own in by_who.items()}
    graded = [all(np.isfinite(values[place]) for values in quality.values()) for place in range(len(both))]
    places = np.flatnonzero(graded)
    both = [both[place] for place in places.tolist()]
    usd = {who: column(by_who.get(who, []), "usd")[places] for who in (STUDENT, TEACHER)}
    empty = np.empty(0)
    paired = Paired(
        ids=tuple(row.id for row in both),
        texts=tuple(row.query for row in both),
        student=quality.get(STUDENT, empty)[places],
        teacher=quality.get(TEACHER, empty)[places],
        confidence=np.nan_to_num(column(by_who.get(STUDENT, []), "confidence")[places]),
        student_usd=usd[STUDENT],
        teacher_usd=usd[TEACHER],
        clusters=tuple(row.cluster or row.id for row in both),
    )
    rungs = {
        who: Rung(values[places], column(by_who[who], "usd")[places])
        for who, values in quality.items()
        if who not in (STUDENT, TEACHER)
    }
    return paired, rungs


def _entry(card: StudentCard, own: Promoting) -> dict[str, Any]:
    """Its entry under `models`."""
    if card.kind == "head":
        found: dict[str, Any] = {"provider": "student", "options": {"path": "{version}/student"}}
    elif card.kind == "lora":
        if own.base is None and "options" not in own.candidate:
            raise ConfigError(
                "an adapter is served on its base: name the base's GGUF file", key="promote.base"
            )
        options = {"path": own.base, "adapter": "{version}/student"}
        found = {"provider": "local", "model": card.base, "options": options}
    else:
        return {"provider": "openai", "model": card.model, **own.candidate}
    return {**found, "usd_per_cpu_hour": own.usd_per_cpu_hour, **own.candidate}


def version_digest(done: Done, entry: Mapping[str, Any]) -> str:
    """Of what would be served: the same student is the same version, whatever else was set."""
    files = {name: one for name, one in done.manifest.outputs.items() if name != PROMOTION}
    data = msgspec.json.encode((files, entry), order="sorted")
    return blake2b(data, digest_size=12).hexdigest()


def read_promotion(folder: Path) -> Promotion:
    """What the stage left.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    path = folder / PROMOTION
    try:
        return msgspec.json.decode(path.read_bytes(), type=Promotion)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"cannot be read: {error}", file=str(path)) from error


def _counts(found: Promotion) -> dict[str, Any]:
    verdict, figures = found.verdict, found.served
    return {
        "passes": verdict.passes,
        "serve": found.serve,
        "judged_by": verdict.n,
        "quality": {"served": verdict.quality, "student": found.student.quality, "teacher": verdict.teacher},
        "difference": verdict.difference,
        "at_least": verdict.low,
        "margin": verdict.margin,
        "baseline": verdict.baseline,
        "over_baseline": verdict.baseline_low,
        "threshold": found.threshold,
        "kept": figures.kept,
        "cost_share": figures.cost_share,
    }


def _notes(found: Promotion) -> tuple[str, ...]:
    if not found.verdict.passes:
        return ()
    said = f"passes: {found.verdict.why}"
    if found.serve == "cascade" and found.threshold is not None:
        share = found.served.cost_share
        cost = "" if share is None else f" at {share:.0%} of the teacher's cost"
        said += f"; it keeps what it is sure of from {found.threshold:g} on, {found.served.kept:.0%}{cost}"
    return (said,)


def _no(verdict: Verdict) -> str:
    return f"not promoted: {verdict.why}"


STAGE = Stage(
    name="promote",
    run=promote,
    version=2,
    settings=Promoting,
    needs=("curate", "train", "evaluate"),
    reads=("teacher", "margin", "seed"),
    aside=(
        "control",
        "judge",
        "stages",
        "judged",
        "metric",
        "max_error_rate",
        "max_p95_s",
    ),  # for live traffic
)
