"""`Item`: one query of a benchmark, and files of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from suffice.errors import DataError
from suffice.types import Query

T = TypeVar("T")
FIELDS: Final = ("query_id", "query", "prompt", "task", "split", "metric", "reference", "source")


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One query with its right answer."""

    query_id: str
    query: str
    """What routers see: the question as a user might put it, with its choices."""
    prompt: str = ""
    """What models are sent; empty: the query itself."""
    task: str
    metric: str
    reference: str = ""
    """What `metric` compares with; empty where a judge needs none."""
    split: str = ""
    source: str = ""

    def asked(self) -> Query:
        """The query as it goes to a model."""
        return Query(text=self.prompt or self.query, id=self.query_id, task=self.task)


def write_items(items: Iterable[Item], path: Path) -> int:
    """JSON lines; how many."""
    lines = [msgspec.json.encode(item) + b"\n" for item in items]
    try:
        path.write_bytes(b"".join(lines))
    except OSError as error:
        raise DataError(f"cannot be written: {error}", file=str(path)) from error
    return len(lines)


def read_items(path: Path, *, metric: str | None = None) -> list[Item]:
    """What `suffice data build` wrote, or any file with `query_id` and `query`, each query once.

    Parameters
    ----------
    path : JSONL, CSV or Parquet
    metric : for rows that name none

    Raises
    ------
    DataError
        With file, row and column, for a row that cannot be asked or scored.
    """
    found: dict[str, Item] = {}
    for number, row in enumerate(long_rows(path), 1):
        chosen = row.get("metric") or metric
        if not chosen:
            raise DataError(
                "names no metric; give one with --metric", file=str(path), row=number, column="metric"
            )
        item = Item(
            query_id=row["query_id"],
            query=row.get("query") or "",
            prompt=row.get("prompt") or "",
            task=row.get("task") or "",
            metric=chosen,
            reference=row.get("reference") or "",
            split=row.get("split") or "",
            source=row.get("source") or "",
        )
        if found.setdefault(item.query_id, item) != item:
            raise DataError(
                f"{item.query_id!r} stands for two queries; ids must differ",
                file=str(path), row=number, column="query_id",
            )  # fmt: skip
    return list(found.values())


def long_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file in the long format, each query's first one, as dictionaries.

    Raises
    ------
    DataError
        If it cannot be read, or has no `query_id` or `query`.
    """
    from suffice.outcomes import reading

    keep = {*FIELDS, "choices"}
    seen: set[str] = set()
    for table in reading.batches(str(path), required=("query",), filled=("query_id",), keep=keep):
        for row in table.to_pylist():
            if row["query_id"] not in seen:
                seen.add(row["query_id"])
                yield row


def sample(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """At most `limit` items, in their order; which ones depends on their ids and the seed, not on order.

    A larger limit keeps the items of a smaller one.
    """
    return sample_by(items, limit, seed, lambda item: item.query_id)


def sample_by(rows: Sequence[T], limit: int | None, seed: int, id_of: Callable[[T], str]) -> list[T]:
    """As `sample`, of anything that has an id."""
    if limit is None or limit >= len(rows):
        return list(rows)

    def draw(row: T) -> bytes:
        return hashlib.blake2b(f"{seed}\0{id_of(row)}".encode(), digest_size=8).digest()

    kept = {id_of(row) for row in sorted(rows, key=draw)[:limit]}
    return [row for row in rows if id_of(row) in kept]
