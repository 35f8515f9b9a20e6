"""A user's data out of a project: rows, what was made from them, and never collected again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from suffice.datasets.journal import forget as forget_lines
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import ROWS, Row, iterate_rows
from suffice.distillation.flywheel.runner import MANIFEST
from suffice.distillation.flywheel.work import Manifest
from suffice.errors import DataError

FORGOTTEN: Final = "forgotten.txt"
WEEK_S: Final = 7 * 86_400.0


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    """What had to go."""

    folders: tuple[str, ...]
    """Results of stages that held the user's rows, and all that was made from those, models too."""
    journals: tuple[str, ...]
    """Of which lines about the user went. What was paid for them stays counted; the calls of others stay,
    but for those of which nobody has said whom they are about, as a judge's decoys: these are paid again."""


def subject_digest(subject: str) -> str:
    """Under which a forgotten user is remembered: the name itself is not kept."""
    return blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def about(row: Row) -> tuple[str, ...]:
    """Whose data a row is, as journals mark it."""
    return () if row.subject is None else (subject_digest(row.subject),)


def forgotten(project: Project) -> frozenset[str]:
    """Digests of users of whom nothing may be collected."""
    try:
        return frozenset(project.path(FORGOTTEN).read_text("utf-8").split())
    except FileNotFoundError:
        return frozenset()


def forget(project: Project, subject: str) -> Forgetting:
    """Remove a user's rows from the project.

    A result cannot be mended in place, as its name is the hash of what it was made from; it goes as a whole,
    and `suffice distill run` makes it anew without the user.

    Raises
    ------
    DataError
        If something cannot be removed.
    """
    known = forgotten(project) | {subject_digest(subject)}
    folders = _affected(project.path("stages"), subject)
    holds = any(not folder.name.startswith(".") for folder in folders)
    journals = []
    folders += [path for path in project.path("journals").glob("train-*") if holds and path.is_dir()]
    try:
        project.path(FORGOTTEN).write_text("".join(f"{one}\n" for one in sorted(known)), "utf-8")
        for path in folders:
            shutil.rmtree(path)
        for path in sorted(project.path("journals").glob("*.jsonl")):
            if _cleared(path, subject_digest(subject), holds):
                journals.append(path)
    except OSError as error:
        raise DataError(f"cannot be removed: {error.strerror}", file=str(error.filename)) from error
    return Forgetting(
        folders=tuple(path.name for path in folders), journals=tuple(path.name for path in journals)
    )


def _cleared(path: Path, person: str, holds: bool) -> bool:
    """Take a user's lines out of a journal; whether there were any.

    Parameters
    ----------
    holds : results hold the user: then what says of no line whom it is about goes too
    """
    lines = path.read_bytes().splitlines()
    if not holds and not any(person.encode() in line for line in lines):
        return False
    if lines and b'"event":' not in lines[0]:  # a student's own answers, which cost nothing
        path.unlink()
        return True
    return forget_lines(path, person)


def expire(project: Project, now: float, keys: Collection[str] | None = None) -> tuple[str, ...]:
    """Remove what holds rows that may not be kept any longer; models that were made from them stay.

    Parameters
    ----------
    now : Unix seconds; rows that expired before it
    keys : ids of keys whose records may be used ("" for callers without one), and of no others; None: any

    Returns
    -------
    names of the folders and journals that were removed
    """
    stages, journals = project.path("stages"), project.path("journals")
    folders = [path for path in sorted(stages.glob("*-*")) if path.is_dir() and _is_over(path, now, keys)]
    withdrawn = any(_is_over(path, float("-inf"), keys) for path in folders)
    for path in folders:
        shutil.rmtree(path)
    over = [path for path in sorted(journals.glob("*.jsonl")) if withdrawn or week_is_over(path.name, now)]
    for path in over:
        path.unlink()
    return tuple(path.name for path in (*folders, *over))


def week_of(row: Row) -> str:
    """The week in which a row expires: a journal of calls about rows is named by it and goes with it."""
    return "" if row.expires_at is None else f"-until-{int(row.expires_at // WEEK_S)}"


def week_is_over(name: str, now: float) -> bool:
    """Whether the first of a journal's rows may have expired."""
    found = re.search(r"-until-(\d+)", name)
    return found is not None and int(found[1]) * WEEK_S <= now


def _is_over(folder: Path, now: float, keys: Collection[str] | None) -> bool:
    path = folder / ROWS
    return path.exists() and any(
        (row.expires_at is not None and row.expires_at <= now)
        or (keys is not None and "key" in row.meta and row.meta["key"] not in keys)
        for row in iterate_rows(path)
    )


def _affected(stages: Path, subject: str) -> list[Path]:
    """Folders with a row of the subject, and those that were made from one of them."""
    folders = [path for path in sorted(stages.glob("*")) if path.is_dir()] if stages.is_dir() else []
    folders += [path for path in sorted(stages.glob(".*")) if path.is_dir()] if stages.is_dir() else []
    manifests = {path: _manifest(path) for path in folders}
    gone = [path for path in folders if _holds(path, subject)]
    for path in gone:  # grows while it is walked
        made = manifests[path]
        digests = set() if made is None else set(made.outputs.values())
        for other, manifest in manifests.items():
            if other not in gone and manifest is not None and digests & set(manifest.inputs.values()):
                gone.append(other)
    return gone


def _manifest(folder: Path) -> Manifest | None:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def _holds(folder: Path, subject: str) -> bool:
    mark = b'"subject":' + msgspec.json.encode(subject)
    for path in folder.rglob("*.jsonl"):
        with path.open("rb") as file:
            if any(mark in line for line in file):
                return True
    return False
