"""Rounds of a project: what was changed, what came of it on the same rows, and whether to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np

from suffice.distillation.assessing.answers import ANSWERS, STUDENT, TEACHER, Said, read_said
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import TEST, iterate_rows, write_lines
from suffice.distillation.flywheel.work import Done
from suffice.errors import DataError
from suffice.metrics import paired_lower_bound

FILE: Final = "rounds.jsonl"
_PROMPT: Final = ("task",)
_RUBRIC: Final = ("judge",)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `rounds.jsonl`."""

    number: int
    at: float
    """Unix seconds."""
    note: str = ""
    digest: str
    """Of the student and the rows that judged it: the same ones are not a new round."""
    settings: Mapping[str, Any]
    """Every section of the project file that shapes the result, and digests of the data."""
    changed: tuple[str, ...] = ()
    """Since the round before: "prompt: task.instruction", "rubric: judge.model", "data: rows.jsonl", ..."""
    n_train: int
    quality: float
    """Of the student, mean on the test rows."""
    teacher: float | None = None
    by_row: Mapping[str, float]
    """Quality of the student's answer by test row, for the rounds that come."""
    clusters: Mapping[str, str] = {}


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What a round gained on the one before, on the rows that judged both."""

    number: int
    n: int
    gain: float
    low: float
    high: float
    """95 %."""

    @property
    def says_stop(self) -> bool:
        """The interval includes zero: the round may have gained nothing."""
        return self.low <= 0.0


class Rounds:
    """The log of a project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.path = project.path(FILE)

    def all(self) -> list[Round]:
        """Every round, oldest first.

        Raises
        ------
        DataError
            If the log cannot be read.
        """
        try:
            lines = self.path.read_bytes().splitlines()
            return [msgspec.json.decode(line, type=Round) for line in lines if line.strip()]
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(f"no log of rounds: {error}", file=str(self.path)) from error

    def log(self, done: Mapping[str, Done], now: float, note: str = "") -> Round:
        """Write down what the stages hold now; the same again is the same round.

        Parameters
        ----------
        done : the finished stages by name, `curate`, `train` and `evaluate` among them
        note : why this round was made, in words

        Raises
        ------
        DataError
            If the student answered no test row.
        """
        before = self.all()
        one = _round(self.project, done, now, note, before)
        known = next((old for old in before if old.digest == one.digest), None)
        if known is not None:
            return known
        write_lines([*before, one], self.path)
        return one

    def gains(self) -> list[Gain]:
        """Of every round but the first."""
        rounds = self.all()
        return [_gain(one, other) for one, other in pairwise(rounds)]

    def advice(self) -> str:
        """Whether to go on, in a sentence."""
        rounds, gains = self.all(), self.gains()
        if not rounds:
            return "no round yet: `suffice distill run`, then `suffice distill rounds --log`"
        if not gains:
            return "one round: change the prompt, the data or the rubric, run again, and compare"
        last = gains[-1]
        said = (
            f"round {last.number} gained {last.gain:+.1%} ({last.low:+.1%} to {last.high:+.1%}, n = {last.n})"
        )
        if last.says_stop:
            return f"stop: {said}; that may be nothing"
        return f"go on: {said}"


def _round(
    project: Project, done: Mapping[str, Done], now: float, note: str, before: Sequence[Round]
) -> Round:
    said = [one for one in read_said(done["evaluate"].folder / ANSWERS) if one.part == TEST]
    mine = _quality(said, STUDENT)
    if not mine:
        raise DataError("the student answered no test row", file=str(done["evaluate"].folder))
    theirs = _quality(said, TEACHER)
    settings = _settings(project, done)
    rows = iterate_rows(done["curate"].folder / "rows.jsonl")
    return Round(
        number=len(before) + 1,
        at=now,
        note=note,
        digest=done["evaluate"].manifest.hash,
        settings=settings,
        changed=_changed(before[-1].settings, settings) if before else (),
        n_train=int(done["train"].manifest.counts.get("train", 0)),
        quality=float(np.mean(list(mine.values()))),
        teacher=float(np.mean(list(theirs.values()))) if theirs else None,
        by_row=mine,
        clusters={row.id: row.cluster for row in rows if row.part == TEST and row.cluster},
    )


def _quality(said: Sequence[Said], who: str) -> dict[str, float]:
    return {one.id: one.quality for one in said if one.who == who and one.quality is not None}


def _settings(project: Project, done: Mapping[str, Done]) -> dict[str, Any]:
    found: dict[str, Any] = {"task": msgspec.to_builtins(project.task), "teacher": project.teacher}
    for name, one in done.items():
        found[name] = msgspec.to_builtins(one.manifest.settings)
    sources = done["collect"].manifest.inputs if "collect" in done else {}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found | {"data": dict(sources)}))
    return plain  # as the log gives it back


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    old, new = dict(_flat(before)), dict(_flat(now))
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return tuple(f"{_sort(name)}: {name}" for name in names)


def _flat(value: Any, at: str = "") -> Sequence[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(at, value)]
    return [pair for key, inner in value.items() for pair in _flat(inner, f"{at}.{key}".lstrip("."))]


def _sort(name: str) -> str:
    area = name.partition(".")[0]
    if area in _PROMPT:
        return "prompt"
    if area in _RUBRIC:
        return "rubric"
    return "data" if area in ("data", "collect", "curate", "teacher") else "training"


def _gain(before: Round, after: Round) -> Gain:
    shared = [name for name in after.by_row if name in before.by_row]
    if not shared:
        raise DataError(
            f"rounds {before.number} and {after.number} share no test row: they cannot be compared"
        )
    difference = np.array([after.by_row[name] - before.by_row[name] for name in shared])
    clusters = [after.clusters.get(name, name) for name in shared]
    low = paired_lower_bound(difference, alpha=0.025, clusters=clusters)
    high = -paired_lower_bound(-difference, alpha=0.025, clusters=clusters)
    return Gain(number=after.number, n=len(shared), gain=float(difference.mean()), low=low, high=high)
