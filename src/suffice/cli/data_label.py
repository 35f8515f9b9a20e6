"""`suffice data label`: the panel asked, its answers scored, outcomes written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from suffice.cli.base import console, fail, notes, print_json
from suffice.cli.data import ModelsOption, check_file, json_value, pairs, read_models
from suffice.cli.setting import ConfigOption, JsonOption, configuration
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.config import Config
    from suffice.datasets.items import Item
    from suffice.datasets.labelling import Labelled, Wish
    from suffice.datasets.scoring import Summary
    from suffice.protocols import Model


def label_command(
    queries: Annotated[Path, typer.Argument(help="What `suffice data build` wrote, or any such file.")],
    out: Annotated[Path, typer.Option(help="Outcomes: .parquet, .jsonl or .csv.")],
    config: ConfigOption = None,
    models: ModelsOption = None,
    budget_usd: Annotated[
        float, typer.Option(min=0, help="All runs of this file together cost at most this.")
    ] = 1.0,
    no_budget: Annotated[
        bool, typer.Option("--no-budget", help="No limit; unknown prices are let through.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="Answers per query and model.")] = 1,
    judge: Annotated[
        str | None, typer.Option(help="A model of the panel: compares answers, rates open ones.")
    ] = None,
    preferences: Annotated[
        Path | None, typer.Option(help="The judge's word; beside --out by default.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="For queries that name none.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 1024,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Of a call.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="After failures that may pass.")] = 3,
    options: Annotated[
        list[str] | None, typer.Option("--option", help="FIELD=VALUE of the request; null takes one out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every model every query, score the answers, write outcomes.

    Answers are kept at once; after Ctrl-C or a crash the same command goes on.
    """
    from suffice.datasets import read_items
    from suffice.datasets.labelling import Wish
    from suffice.outcomes.reading import format_of

    check_file(out, "--out")
    check_file(preferences, "--preferences")
    format_of(str(out))
    fields = {name: json_value(value) for name, value in pairs(options, "--option").items()}
    wish = Wish(samples=samples, max_tokens=max_tokens, concurrency=concurrency, fields=fields)
    items = read_items(queries, metric=metric)
    _check_metrics(items, judge)
    limit = None if no_budget else Decimal(repr(budget_usd))
    panel = _Panel(configuration(config), read_models(models), judge)
    journal = out.with_name(f"{out.name}.journal.jsonl")
    try:
        labelled, spent = asyncio.run(panel.label(items, journal, limit, wish, timeout_s, retries))
    except KeyboardInterrupt:
        notes.print(f"stopped; what was answered is kept in {journal}: the same command goes on from there")
        raise
    _finish(labelled, spent, out, judge, preferences, limit, as_json)


def _finish(
    labelled: Labelled,
    spent: Decimal,
    out: Path,
    judge: str | None,
    preferences: Path | None,
    limit: Decimal | None,
    as_json: bool,
) -> None:
    """Score, write, show."""
    from suffice.datasets import scoring

    with notes.status("scoring"):
        scored = scoring.score(labelled)
    scoring.write_outcomes(scored, out)
    judged = 0
    if judge is not None:
        preferences = preferences or out.with_name(f"{out.name.partition('.')[0]}.preferences{_suffix(out)}")
        judged = scoring.write_preferences(labelled.verdicts, judge, preferences)
    summaries = scoring.summarise(scored)
    facts = {
        "out": str(out),
        "preferences": str(preferences) if judged else None,
        "n_preferences": judged,
        "spent_usd": str(spent),
        "models": summaries,
    }
    print_json(facts) if as_json else _show(summaries, facts)
    _say_what_is_missing(summaries, limit)
    if not any(one.n_scored for one in summaries):
        fail("no answer could be scored; see the column `error` of the file")


def _suffix(path: Path) -> str:
    return path.name[path.name.index(".") :]


def _check_metrics(items: list[Item], judge: str | None) -> None:
    """Before anything is paid for."""
    from suffice.datasets import metrics

    if not items:
        raise ConfigError("the file holds no query")
    for name in sorted({item.metric for item in items}):
        if name != metrics.JUDGED:
            metrics.create(name)
        elif judge is None:
            raise ConfigError('some queries have the metric "judge": name one with --judge MODEL')


class _Panel:
    """The models of a configuration that are to be asked."""

    def __init__(self, config: Config, names: list[str] | None, judge: str | None) -> None:
        known = [entry.name for entry in config.models]
        self._config, self._names, self._judge = config, names or known, judge
        for name in (*self._names, *([judge] if judge else [])):
            if name not in known:
                raise ConfigError(f"{name!r} is not in the panel; it has {', '.join(known)}")

    async def label(
        self, items: list[Item], path: Path, limit: Decimal | None, wish: Wish, timeout_s: float, retries: int
    ) -> tuple[Labelled, Decimal]:
        """Everything asked, and what all runs together cost."""
        from suffice import build
        from suffice.datasets.asking import Asker
        from suffice.datasets.budget import Budget
        from suffice.datasets.journal import Journal
        from suffice.datasets.labelling import label
        from suffice.providers.http import HttpClient

        http = HttpClient()
        made = build.make_models(self._config, http)
        chosen: Mapping[str, Model] = {name: made[name] for name in self._names}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[usd]}"),
        )
        try:
            with Journal(path) as journal, Progress(*columns, console=notes, transient=True) as bars:
                bar = bars.add_task("asking", total=None, usd="")
                asker = Asker(journal, Budget(limit, journal.spent_usd), timeout_s=timeout_s, retries=retries)
                labelled = await label(
                    items,
                    chosen,
                    asker,
                    wish,
                    judge=made[self._judge] if self._judge else None,
                    on_step=lambda done, total, usd: bars.update(
                        bar, completed=done, total=total, usd=f"{usd:.4f} USD"
                    ),
                )
                return labelled, journal.spent_usd
        finally:
            for model in made.values():
                await model.close()
            await http.close()


def _show(summaries: list[Summary], facts: dict[str, Any]) -> None:
    table = Table("model", box=None, pad_edge=False)
    for name in ("n", "quality", "cost USD", "failed", "not asked"):
        table.add_column(name, justify="right")
    for one in summaries:
        quality = "?" if one.quality is None else f"{one.quality:.3f}"
        if one.quality_error is not None:
            quality += f" ± {one.quality_error:.3f}"
        cost = "?" if one.cost_usd is None else f"{one.cost_usd:.4f}"
        table.add_row(one.model, f"{one.n_scored:,}", quality, cost, str(one.n_failed), str(one.n_not_asked))
    console.print(table)
    console.print(f"outcomes in {facts['out']}", highlight=False, soft_wrap=True)
    if facts["preferences"]:
        console.print(
            f"{facts['n_preferences']:,} preferences in {facts['preferences']}",
            highlight=False,
            soft_wrap=True,
        )


def _say_what_is_missing(summaries: list[Summary], limit: Decimal | None) -> None:
    n_failed = sum(one.n_failed for one in summaries)
    n_not_asked = sum(one.n_not_asked for one in summaries)
    if n_failed:
        said = f"{n_failed:,} calls failed: their score is unknown, not 0; the same command tries them again"
        notes.print(said, style="yellow", highlight=False)
    if n_not_asked:
        said = f"{n_not_asked:,} calls were not made"
        if limit is not None:
            said += f" (the limit is {limit} USD: a larger --budget-usd goes on)"
        notes.print(said, style="yellow", highlight=False)
