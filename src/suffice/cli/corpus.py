"""`suffice corpus`: documents to look things up in."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from suffice.cli.base import console, fail, notes, print_json
from suffice.cli.setting import JsonOption
from suffice.errors import DataError

_corpus = typer.Typer(help="Documents to look things up in: add, search, list, remove.", no_args_is_help=True)
FileOption = Annotated[Path, typer.Option("--corpus", help="The corpus, one SQLite file.")]
_FILE = Path("corpus.db")


def register(app: typer.Typer) -> None:
    """Add the group."""
    _corpus.command("add")(_add)
    _corpus.command("search")(_search)
    _corpus.command("list")(_list)
    _corpus.command("remove")(_remove)
    app.add_typer(_corpus, name="corpus")


def _add(
    paths: Annotated[
        list[Path], typer.Argument(help="Files or folders: txt, md, html, jsonl, parquet, pdf.")
    ],
    file: FileOption = _FILE,
    size: Annotated[int, typer.Option(min=1, help="Words of a passage.")] = 200,
    overlap: Annotated[
        int, typer.Option(min=0, help="Words that a passage has in common with the next.")
    ] = 40,
    as_json: JsonOption = False,
) -> None:
    """Add documents; those that changed are replaced, those that did not are left alone."""
    from suffice.retrieval import Corpus, load

    for path in paths:
        if not path.exists():
            raise DataError("no such file or folder", file=str(path))
    skipped: list[dict[str, str]] = []
    documents = (
        document
        for path in paths
        for document in load(path, skipped=lambda at, why: skipped.append({"file": str(at), "reason": why}))
    )
    corpus = Corpus(file, size=size, overlap=overlap)
    try:
        with notes.status("reading") as status:
            added = corpus.add(documents, lambda n: status.update(f"{n:,} documents"))
    finally:
        corpus.close()
    if as_json:
        print_json({"corpus": str(file), **added._asdict(), "skipped": skipped})
        return
    for one in skipped:
        notes.print(escape(f"left out: {one['reason']}"), style="yellow", highlight=False, soft_wrap=True)
    said = f"{added.n_new:,} new, {added.n_changed:,} changed, {added.n_unchanged:,} as before"
    console.print(f"{said}; {added.n_passages:,} passages written to {file}", highlight=False, soft_wrap=True)


def _search(
    query: Annotated[str, typer.Argument(help="What to look for; any text.")],
    file: FileOption = _FILE,
    k: Annotated[int, typer.Option("-k", min=1, max=100_000, help="Passages.")] = 5,
    retriever: Annotated[str, typer.Option(help="fts5, bm25s, vector or hybrid.")] = "fts5",
    embedder: Annotated[str, typer.Option(help="For vector and hybrid.")] = "hashed",
    rebuild: Annotated[bool, typer.Option(help="Embed all anew where the embedder is another.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The passages that fit a query best."""
    from suffice import embedders, retrieval

    corpus = _open(file)
    by_vectors = retriever in ("vector", "hybrid")
    params: dict[str, Any] = {"rebuild": rebuild} if by_vectors else {}
    made = embedders.create(embedder) if by_vectors else None
    try:
        with notes.status("searching"):
            found = retrieval.create(retriever, corpus, embedder=made, **params).search(query, k)
    finally:
        corpus.close()
    if as_json:
        print_json({"query": query, "passages": found})
        return
    if not found:
        notes.print("no passage fits", style="dim")
    for number, passage in enumerate(found, 1):
        head = f"[{number}] {passage.source}  {passage.id}  {passage.score:.4f}"
        console.print(escape(head), style="bold", highlight=False, soft_wrap=True)
        console.print(escape(" ".join(passage.text.split())[:400]), highlight=False)


def _list(file: FileOption = _FILE, as_json: JsonOption = False) -> None:
    """The documents of a corpus."""
    corpus = _open(file)
    try:
        found = corpus.documents()
    finally:
        corpus.close()
    if as_json:
        print_json({"corpus": str(file), "documents": [one._asdict() for one in found]})
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "source", "passages"):
        table.add_column(name, justify="right" if name == "passages" else "left")
    for one in itertools.islice(found, 1000):
        table.add_row(escape(one.id), escape(one.source), f"{one.n_passages:,}")
    console.print(table)
    if len(found) > 1000:
        notes.print(f"{len(found) - 1000:,} more: --json has them all", style="dim", highlight=False)


def _remove(
    ids: Annotated[list[str], typer.Argument(help="Ids of documents, as `corpus list` shows them.")],
    file: FileOption = _FILE,
    as_json: JsonOption = False,
) -> None:
    """Remove documents; exit code 1 if one of them is not there."""
    corpus = _open(file)
    try:
        there = {one.id for one in corpus.documents()}
        n_removed = corpus.remove(ids)
    finally:
        corpus.close()
    missing = [id for id in dict.fromkeys(ids) if id not in there]
    if as_json:
        print_json({"n_removed": n_removed, "missing": missing})
    else:
        console.print(f"{n_removed:,} removed", highlight=False)
    if missing:
        fail(f"not in {file}: {', '.join(missing)}")


def _open(file: Path) -> Any:
    """A corpus that is there: a search must not make an empty one."""
    from suffice.retrieval import Corpus

    if not file.is_file():
        raise DataError("no such corpus; `suffice corpus add PATH` makes one", file=str(file))
    return Corpus(file)
