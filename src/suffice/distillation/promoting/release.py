"""From the gate to all of the traffic, and back: shadow, canary, full.

`promote` is one command that goes on from wherever things are, run by hand or by a clock. Experiments decide,
and roll back by themselves. A version that came through is held by its experiment, which gives it all of the
control's traffic: to end that is to roll back, at once and in every gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from suffice.distillation.promoting.settings import Promoting
from suffice.distillation.promoting.shelf import FOLDER, Shelf, Standing, Version
from suffice.errors import NotFound
from suffice.experiments import Experiment
from suffice.store.experiments import SqliteExperiments
from suffice.store.experiments import Standing as Progressing

State = Literal["running", "promoted", "rolled back", "stopped"]


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version stands after a command."""

    in_charge: int | None
    """The version that answers beside no experiment; None: the teacher does."""
    trial: int | None
    state: State
    experiment: str | None
    says: tuple[str, ...]
    """Sentences for people."""


class Release:
    """One student of a shelf, and the experiments of one store."""

    def __init__(
        self,
        shelf: Shelf,
        books: SqliteExperiments,
        *,
        name: str,
        teacher: str,
        settings: Promoting,
        margin: float,
    ) -> None:
        self.shelf, self.books = shelf, books
        self.name, self.teacher, self.settings, self.margin = name, teacher, settings, margin

    def promote(
        self, source: Path, digest: str, entry: Mapping[str, Any], now: float, *, again: bool = False
    ) -> Released:
        """Put a student that passed the gate into the panel, and take it one step further.

        Parameters
        ----------
        source : the folder of the stage `promote`
        digest : of that stage: the same student is not a new version
        entry : the candidate as it stands under `models`, without its name; "{version}" in its options is
            the version's folder
        again : try a version once more that was rolled back
        """
        standing = self.shelf.standing(self.name) or Standing(name=self.name, teacher=self.teacher)
        says: list[str] = []
        number = self._version(standing, source, digest, entry, now, says)
        if again and number in standing.withdrawn:
            standing.withdrawn.remove(number)
        if number in standing.withdrawn:
            says.append(f"{standing.candidate(number)} was taken back: train another, or say --again")
            return self._released(standing, "rolled back", says)
        if standing.trial not in (None, number):
            self._settle(standing, now, says)
        if number == standing.in_charge:
            says.append(f"{standing.candidate(number)} is in charge")
            return self._released(standing, "promoted", says)
        standing.trial = number
        self.shelf.write(standing)
        found = self._found(standing.experiment)
        if found is None or found.progress.status == "passed":
            is_first = found is None and self.settings.judge is not None
            return self._start(standing, "shadow" if is_first else "canary", now, says)
        return self._told(standing, found, now, says)

    def rollback(self, now: float) -> Released:
        """The version before: the trial is ended, or where there is none, the version in charge.

        Raises
        ------
        NotFound
            If the teacher answers already.
        """
        standing = self.shelf.standing(self.name)
        if standing is None or (standing.trial is None and not standing.line):
            raise NotFound(f"no version of {self.name!r} is in charge or tried: nothing to roll back")
        if standing.trial is not None:
            gone, when = standing.trial, "at once"
            self._stop(standing.experiment, now)
            standing.trial = standing.experiment = None
        else:
            gone, when = standing.line.pop(), "once the gateways are started again"
        standing.withdrawn.append(gone)
        said = f"{standing.candidate(gone)} was taken back; {self._who(standing)} answers {when}"
        standing.note(now, said)
        self.shelf.write(standing)
        return self._released(standing, "stopped", [said])

    def _version(
        self,
        standing: Standing,
        source: Path,
        digest: str,
        entry: Mapping[str, Any],
        now: float,
        says: list[str],
    ) -> int:
        """Its number; a new one is kept first."""
        for known in standing.versions:
            if known.digest == digest:
                return known.number
        number = len(standing.versions) + 1
        self.shelf.take(source, self.name, number, (standing.candidate(number), self.teacher))
        standing.versions.append(Version(number=number, digest=digest, at=now, entry=dict(entry)))
        at = f"{FOLDER}/{self.name}/v{number}"
        says.append(standing.note(now, f"{standing.candidate(number)} is kept in {at}"))
        return number

    def _settle(self, standing: Standing, now: float, says: list[str]) -> None:
        """The version that was tried before makes room: it takes charge if it came through."""
        assert standing.trial is not None
        before = standing.candidate(standing.trial)
        found = self._found(standing.experiment)
        if found is not None and found.progress.status == "promoted":
            standing.line.append(standing.trial)
            says.append(standing.note(now, f"{before} is in charge"))
        else:
            says.append(standing.note(now, f"{before} makes room"))
        standing.trial = standing.experiment = None

    def _start(
        self, standing: Standing, kind: Literal["shadow", "canary"], now: float, says: list[str]
    ) -> Released:
        assert standing.trial is not None
        own = self.settings
        candidate = standing.candidate(standing.trial)
        standing.tries += 1
        name = f"{candidate}-{kind}-{standing.tries}"
        control = own.control or f"auto:{self.name}"
        experiment = Experiment(
            name=name,
            treatment=f"auto:{candidate}",
            control=control,
            kind=kind,
            stages=own.stages if kind == "canary" else (),
            margin=self.margin,
            alpha=own.alpha,
            least=own.judged,
            metric=own.metric,
            max_error_rate=own.max_error_rate,
            max_p95_s=own.max_p95_s,
            judge=own.judge if kind == "shadow" else None,
        )
        if self._found(name) is None:  # else an interrupted run began it
            for other, progress in self.books.all():
                is_ours = other.name.startswith(f"{self.name}-v") and other.control == control
                if is_ours and progress.status in ("running", "promoted"):  # of a version that made room
                    self._stop(other.name, now)
            self.books.start(experiment, now)
        standing.experiment = name
        share = experiment.shares[0]
        what = "is asked beside" if kind == "shadow" else "is given"
        says.append(standing.note(now, f"{name}: {candidate} {what} {share:.0%} of {control}"))
        self.shelf.write(standing)
        says.append("start the gateways again: they read the panel when they start")
        return self._released(standing, "running", says)

    def _told(self, standing: Standing, found: Progressing, now: float, says: list[str]) -> Released:
        """What the trial's experiment says; where it ended badly, so does the trial."""
        status, why = found.progress.status, found.progress.why
        assert standing.trial is not None
        candidate = standing.candidate(standing.trial)
        if status == "promoted":
            says.append(f"{candidate} answers all of {found.experiment.control}: {why}")
            return self._released(standing, "promoted", says)
        if status == "running":
            share = found.progress.share(found.experiment)
            says.append(f"{found.experiment.name} goes on with {share:.0%}: `suffice experiment status`")
            return self._released(standing, "running", says)
        said = f"{candidate}: {status} ({why}); {self._who(standing)} answers"
        standing.withdrawn.append(standing.trial)
        standing.trial = standing.experiment = None
        says.append(standing.note(now, said))
        self.shelf.write(standing)
        return self._released(standing, "rolled back", says)

    def _released(self, standing: Standing, state: State, says: list[str]) -> Released:
        return Released(
            in_charge=standing.in_charge,
            trial=standing.trial,
            state=state,
            experiment=standing.experiment,
            says=tuple(says),
        )

    def _who(self, standing: Standing) -> str:
        return self.teacher if standing.in_charge is None else standing.candidate(standing.in_charge)

    def _found(self, name: str | None) -> Progressing | None:
        return next((one for one in self.books.all() if one.experiment.name == name), None)

    def _stop(self, name: str | None, now: float) -> None:
        if name is not None and self._found(name) is not None:
            self.books.stop(name, now)
