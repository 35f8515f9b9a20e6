"""`suffice data`: benchmark queries built, asked of the panel, and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from suffice.cli.base import console, notes, print_json
from suffice.cli.data import check_parent
from suffice.cli.data_label import label_command
from suffice.cli.setting import JsonOption

_data = typer.Typer(help="Benchmark queries: list, build, and label with your panel.", no_args_is_help=True)
_data.command("label")(label_command)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_data, name="data")


@_data.command("list")
def _list(
    source: Annotated[Path | None, typer.Option("--from", help="A folder that holds sets.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The sets that are known, and whether they can be read here."""
    from suffice import datasets
    from suffice.datasets import building, hub

    here = set(building.present(source)) if source is not None else set()
    is_online = hub.is_reachable()
    rows: list[dict[str, Any]] = []
    for name in datasets.available():
        info = datasets.create(name).info
        readable = "files" if name in here else "hub" if is_online and info.hub else None
        rows.append(
            {
                "name": name,
                "title": info.title,
                "kind": info.kind,
                "metric": info.metric,
                "license": info.license,
                "n_queries": info.n_queries,
                "split": info.split,
                "hub": info.hub,
                "is_gated": info.is_gated,
                "homepage": info.homepage,
                "readable": readable,
            }
        )
    if as_json:
        print_json({"sets": rows, "is_hub_reachable": is_online})
        return
    _show_list(rows, is_online)


def _show_list(rows: list[dict[str, Any]], is_online: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("name", "kind", "metric", "queries", "licence", "here"):
        table.add_column(name, no_wrap=name in ("name", "metric", "queries", "here"))
    for row in rows:
        license = f"{row['license']}{', gated' if row['is_gated'] else ''}"
        size = f"{row['n_queries']:,} {row['split']}"
        table.add_row(row["name"], row["kind"], row["metric"], size, license, row["readable"] or "no")
    console.print(table)
    if not is_online:
        said = "the hub cannot be reached: give a set's own files, or any file of queries, with --from PATH"
        notes.print(said, style="dim", highlight=False)


@_data.command("build")
def _build(
    names: Annotated[
        list[str], typer.Argument(help="Sets, path/to/file.py:ClassName, tasks of a file; or all.")
    ],
    out: Annotated[Path, typer.Option(help="Queries as JSON lines.")],
    source: Annotated[
        str,
        typer.Option("--from", help="hub, a folder, a set's own file, or a file with query_id and query."),
    ] = "hub",
    limit: Annotated[int | None, typer.Option(min=1, help="Queries of each set, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    metric: Annotated[str | None, typer.Option(help="For tasks that are no known set.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write queries with references and prompts, ready to be asked."""
    from suffice.datasets import write_items
    from suffice.datasets.building import build
    from suffice.providers.model_files import models_dir

    check_parent(out, "--out")
    with notes.status("reading") as status:
        built = build(
            names,
            source if source == "hub" else Path(source),
            limit=limit,
            seed=seed,
            metric=metric,
            cache=models_dir().parent / "datasets",
            report=lambda what, done: status.update(f"{what}: {done / 1e6:,.1f} MB"),
        )
        n_written = write_items((item for one in built for item in one.items), out)
    found = [{"name": one.name, "n": len(one.items), "n_rows": one.n_rows, "n_left_out": one.n_left_out}
             for one in built]  # fmt: skip
    if as_json:
        print_json({"out": str(out), "n": n_written, "sets": found})
        return
    for one in built:
        left_out = f", {one.n_left_out:,} rows left out: no answer, or another part" if one.n_left_out else ""
        console.print(f"{one.name}: {len(one.items):,} of {one.n_rows:,} rows{left_out}", highlight=False)
    console.print(f"{n_written:,} queries in {out}", highlight=False, soft_wrap=True)
