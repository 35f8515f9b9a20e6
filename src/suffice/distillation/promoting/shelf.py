"""Versions of students beside `suffice.yaml`: folders that are never changed, and what stands in the panel.

suffice.yaml                 one line of it: include: [students.yaml]
students.yaml                written anew from what follows; nobody else writes it
students/NAME/standing.json  which version answers, which one is tried, and what was done when
students/NAME/v1/            student/, cascade/ and promotion.json, as the stage `promote` left them
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from suffice import _yaml
from suffice.cascades.threshold import ConfidenceCascade
from suffice.config import STUDENTS
from suffice.errors import ConfigError, DataError

FOLDER: Final = "students"
PANEL: Final = STUDENTS
STANDING: Final = "standing.json"
_HEADER: Final = (
    "# Written by `suffice distill promote` and `rollback`: what you change here is lost. A student answers\n"
    "# in pipelines of its own: auto:NAME is the version in charge, auto:NAME-vN one tried beside it.\n"
)
_LINE: Final = f"\ninclude: [{PANEL}]  # promoted students: `suffice distill promote` writes that file\n"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One student that came through the gate."""

    number: int
    digest: str
    """Of the stage that let it through: the same student is the same version."""
    at: float
    """Unix seconds."""
    entry: dict[str, Any]
    """Its entry under `models`, but for the name and paths inside its folder."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, when."""

    at: float
    what: str


class Standing(msgspec.Struct, kw_only=True):
    """The versions of one student, and which of them answer."""

    name: str
    teacher: str
    versions: list[Version] = []
    line: list[int] = []
    """Versions in charge, the present one last; empty: the teacher answers."""
    trial: int | None = None
    """Tried beside the one in charge."""
    withdrawn: list[int] = []
    """Taken back, by an experiment or by hand: not tried once more unless that is asked for."""
    tries: int = 0
    """Experiments begun: each needs a name of its own."""
    experiment: str | None = None
    """The trial's present one."""
    log: list[Event] = []

    @property
    def in_charge(self) -> int | None:
        return self.line[-1] if self.line else None

    def candidate(self, number: int) -> str:
        """A version's name in the panel."""
        return f"{self.name}-v{number}"

    def note(self, now: float, what: str) -> str:
        """Keep it in the log, and give it back."""
        self.log.append(Event(at=now, what=what))
        return what


class Shelf:
    """All students beside one `suffice.yaml`."""

    def __init__(self, config_path: Path) -> None:
        self.config_path = config_path
        self.folder = config_path.parent / FOLDER

    def standing(self, name: str) -> Standing | None:
        """Of one student; None: it was never promoted.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        path = self.folder / name / STANDING
        try:
            return msgspec.json.decode(path.read_bytes(), type=Standing)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(f"cannot be read: {error}", file=str(path)) from error

    def version_folder(self, name: str, number: int) -> Path:
        return self.folder / name / f"v{number}"

    def take(self, source: Path, name: str, number: int, arms: Sequence[str]) -> None:
        """Copy what the stage left, whole or not at all.

        Parameters
        ----------
        arms : names in the panel of the cascade's models, student and teacher
        """
        target = self.version_folder(name, number)
        scratch = target.with_name(f".part-{target.name}")
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(source, scratch, ignore=shutil.ignore_patterns("manifest.json"))
            rule = ConfidenceCascade.load(scratch / "cascade")
            rule.arms = rule.chain = tuple(arms)
            rule.save(scratch / "cascade")
            shutil.rmtree(target, ignore_errors=True)  # of a run that was killed before it was noted
            os.replace(scratch, target)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise DataError(f"cannot be written: {error.strerror}", file=str(target)) from error

    def write(self, standing: Standing) -> None:
        """The panel first, what stands last: an interrupted command is simply given again."""
        self._write_panel({standing.name: standing})
        include(self.config_path)
        data = msgspec.json.format(msgspec.json.encode(standing), indent=1) + b"\n"
        write_whole(self.folder / standing.name / STANDING, data)

    def mend(self) -> None:
        """Write `students.yaml` again where it is gone: without it nobody can read what includes it."""
        path = self.config_path
        if path.with_name(PANEL).exists() or not path.exists():
            return
        plain, _ = _yaml.read(path.read_text(encoding="utf-8"), path)
        named = plain.get("include") if isinstance(plain, dict) else None
        if isinstance(named, list) and PANEL in named:
            self._write_panel({})

    def _write_panel(self, newer: Mapping[str, Standing]) -> None:
        others = [self.standing(path.parent.name) for path in sorted(self.folder.glob(f"*/{STANDING}"))]
        known = {one.name: one for one in others if one is not None} | dict(newer)
        panel = panel_of([known[name] for name in sorted(known)])
        text = _HEADER + yaml.safe_dump(panel, sort_keys=False, allow_unicode=True, width=1000)
        write_whole(self.config_path.with_name(PANEL), text.encode())


def panel_of(standings: list[Standing]) -> dict[str, Any]:
    """What `students.yaml` says: candidates, a rule that keeps them out of other pipelines, and theirs."""
    models: list[dict[str, Any]] = []
    pipelines: dict[str, Any] = {}
    for one in standings:
        shown = [number for number in (one.in_charge, one.trial) if number is not None]
        for number in dict.fromkeys(shown):
            version = next(known for known in one.versions if known.number == number)
            models.append(_entry(one, version))
            pipelines[one.candidate(number)] = _cascade(one, number)
        teacher_alone = {"plan": {"name": "single"}, "rules": [{"name": one.name, "use": [one.teacher]}]}
        chief = one.in_charge
        pipelines[one.name] = teacher_alone if chief is None else _cascade(one, chief)
    found: dict[str, Any] = {"models": models}
    if models:
        found["rules"] = [
            {"name": "students keep to their task", "avoid": [model["name"] for model in models]}
        ]
    return found | {"pipelines": pipelines}


def _entry(standing: Standing, version: Version) -> dict[str, Any]:
    at = f"{FOLDER}/{standing.name}/v{version.number}"
    name = standing.candidate(version.number)
    options = {
        key: value.replace("{version}", at) if isinstance(value, str) else value
        for key, value in version.entry.get("options", {}).items()
    }
    return {"name": name, **version.entry, **({"options": options} if options else {})}


def _cascade(standing: Standing, number: int) -> dict[str, Any]:
    name = standing.candidate(number)
    return {
        "plan": {"name": "cascade", "path": f"{FOLDER}/{standing.name}/v{number}/cascade"},
        "rules": [{"name": name, "use": [name, standing.teacher]}],
    }


def include(config_path: Path) -> None:
    """Have `suffice.yaml` include `students.yaml`: one line at its end, everything else as it was.

    Raises
    ------
    ConfigError
        If it includes other files already: the name must be added by hand.
    """
    text = config_path.read_text(encoding="utf-8")
    plain, lines = _yaml.read(text, config_path)
    named = plain.get("include") if isinstance(plain, dict) else None
    if isinstance(named, list) and PANEL in named:
        return
    wrong = ConfigError(
        f"add {PANEL} to the list under `include:`, and run this again",
        file=str(config_path), line=lines.get("$.include"), key="include",
    )  # fmt: skip
    if named is not None:
        raise wrong
    longer = text.rstrip("\n") + "\n" + _LINE
    try:
        after, _ = _yaml.read(longer, config_path)
    except ConfigError:
        raise wrong from None
    if after != {**(plain or {}), "include": [PANEL]}:
        raise wrong  # what ends the file would swallow the line
    write_whole(config_path.resolve(), longer.encode())


def write_whole(path: Path, data: bytes) -> None:
    """The whole file or none of it, with the permissions that it had.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    scratch = path.with_name(f".part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(data)
        if path.exists():
            shutil.copymode(path, scratch)
        os.replace(scratch, path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise DataError(f"cannot be written: {error.strerror}", file=str(path)) from error
