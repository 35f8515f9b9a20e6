"""Sets to items: from the hub, from the sets' own files, or from a file in the long format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from suffice import datasets
from suffice.datasets import hub, metrics
from suffice.datasets.base import Info, TaskSet, folded
from suffice.datasets.items import Item, long_rows, sample
from suffice.datasets.rows import FILE, Row, files, rows
from suffice.errors import DataError

HUB: Final = "hub"
_LONG: Final = (".parquet", ".jsonl", ".ndjson", ".csv", ".jsonl.gz", ".csv.gz")

Report = Callable[[str, int], None]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The items of one set."""

    name: str
    items: list[Item]
    n_rows: int
    """Rows seen, before sampling."""
    n_left_out: int
    """Rows without an answer to compare with, or of another part of the set."""


def build(
    names: Sequence[str],
    source: str | Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    metric: str | None = None,
    cache: Path | None = None,
    report: Report = lambda what, done: None,
) -> list[Built]:
    """Items of the named sets.

    Parameters
    ----------
    names : of sets; of tasks in a long file; "all" for everything there is
    source : "hub", a folder (with one folder per set, or of one set), a set's own file, or a long file
    limit : items of each set, drawn by seed; None: all
    metric : for tasks of a long file that are no known set
    cache : where files of the hub are kept

    Raises
    ------
    DataError
        With file and row, for what cannot be read.
    UnknownName
        If nothing has that name.
    """
    if source == HUB:
        assert cache is not None
        chosen = datasets.available() if "all" in names else names
        made = [_from_hub(name, cache, report) for name in chosen]
    elif is_long(Path(source)):
        made = _from_long(names, Path(source), metric)
    else:
        chosen = present(Path(source)) if "all" in names else names
        if not chosen:
            raise DataError(
                "holds files of no known set; name a set, or give a folder per set", file=str(source)
            )
        made = [_from_files(name, Path(source)) for name in chosen]
    return [msgspec.structs.replace(one, items=sample(one.items, limit, seed)) for one in made]


def is_long(path: Path) -> bool:
    """Whether a file has the columns of the long format."""
    if not path.is_file() or not path.name.lower().endswith(_LONG):
        return False
    try:
        return next(iter(long_rows(path)), None) is not None
    except DataError:
        return False


def present(folder: Path) -> list[str]:
    """Known sets that have a folder of their name (or an alias) inside."""
    return [name for name in datasets.available() if _own_folder(datasets.create(name).info, folder)]


def _own_folder(info: Info, folder: Path) -> Path | None:
    wanted = {folded(name) for name in (info.name, info.title, *info.aliases)}
    if not folder.is_dir():
        return None
    inside = sorted(one for one in folder.iterdir() if one.is_dir() and folded(one.name) in wanted)
    return inside[0] if inside else None


def _from_hub(name: str, cache: Path, report: Report) -> Built:
    found = datasets.create(name)
    paths = hub.fetch(found.info, cache, report=report)
    return _collect(found, (row for path in paths for row in rows(path, ())))


def _from_files(name: str, path: Path) -> Built:
    found = datasets.create(name)
    place = _own_folder(found.info, path) or path
    files(place, found.info.patterns)  # says what is missing before anything is read
    return _collect(found, rows(place, found.info.patterns))


def _collect(found: TaskSet, source: Iterable[Row]) -> Built:
    items: dict[str, Item] = {}
    n_rows = 0
    for number, row in enumerate(source):
        n_rows += 1
        try:
            item = found.item(row, number)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"is no row of {found.info.name}: {reason}", file=row.get(FILE), row=number + 1
            ) from error
        if item is not None:
            items.setdefault(item.query_id, item)
    if not items:
        raise DataError(f"{n_rows:,} rows, none of them a query of {found.info.name} with an answer")
    return Built(
        name=found.info.name, items=list(items.values()), n_rows=n_rows, n_left_out=n_rows - len(items)
    )


def _from_long(names: Sequence[str], path: Path, metric: str | None) -> list[Built]:
    by_task: dict[str, list[Row]] = {}
    for row in long_rows(path):
        by_task.setdefault(row.get("task") or path.stem, []).append(row)

    def is_scored(task: str) -> bool:
        return metric is not None or all(row.get("metric") in metrics.available() for row in by_task[task])

    wanted = _tasks(names, list(by_task), path, is_scored)
    return [_long_task(name, [row for task in tasks for row in by_task[task]], path, metric)
            for name, tasks in wanted.items()]  # fmt: skip


def _tasks(
    names: Sequence[str], tasks: Sequence[str], path: Path, is_scored: Callable[[str], bool]
) -> dict[str, list[str]]:
    """Set or task -> the tasks of the file that belong to it; of all tasks, those that can be scored."""
    known = {name: datasets.create(name).info for name in datasets.available()}
    of_set = {
        name: [
            task
            for task in tasks
            if folded(task) in {folded(one) for one in (name, info.title, *info.aliases)}
        ]
        for name, info in known.items()
    }
    if "all" in names:
        taken = {task for found in of_set.values() for task in found}
        rest = {task: [task] for task in tasks if task not in taken and is_scored(task)}
        return {name: found for name, found in of_set.items() if found} | rest
    chosen = {}
    for name in names:
        found = of_set.get(name) or [task for task in tasks if task == name]
        if not found:
            listed = ", ".join(sorted(tasks)[:20])
            raise DataError(f"holds no task {name!r}; it has {listed}", file=str(path))
        chosen[name] = found
    return chosen


def _long_task(name: str, source: Sequence[Row], path: Path, metric: str | None) -> Built:
    if name in datasets.available():
        known = datasets.create(name)
        made = [known.from_long(row) for row in source]
    elif metric is None and not all(row.get("metric") in metrics.available() for row in source):
        raise DataError(
            f"the task {name!r} is no known set: say how it is scored with --metric", file=str(path)
        )
    else:
        made = [_plain(row, name, metric) for row in source]
    items = [item for item in made if item is not None]
    return Built(name=name, items=items, n_rows=len(source), n_left_out=len(source) - len(items))


def _plain(row: Row, task: str, metric: str | None) -> Item:
    """A row as it is."""
    return Item(
        query_id=row["query_id"],
        query=row["query"],
        prompt=row.get("prompt") or "",
        task=task,
        metric=metric or row["metric"],
        reference=row.get("reference") or "",
        split=row.get("split") or "",
        source=row.get("source") or "",
    )
