"""`suffice confidence run`: questions with known answers, and how far each signal can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from suffice.cli.base import fail, notes, print_json
from suffice.cli.confidence_asking import ConfidencePanel, ask
from suffice.cli.confidence_shown import show, write_evidence
from suffice.cli.data import check_file, check_parent, json_value, pairs, write_atomically
from suffice.cli.setting import ConfigOption, JsonOption, configuration
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.datasets.items import Item
    from suffice.evaluation.questioning import Questioned
    from suffice.plans.probes import Known, Meaning
    from suffice.protocols import Embedder

_confidence = typer.Typer(help="How far a model's answers can be believed.", no_args_is_help=True)
_PANEL = "panel"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_confidence, name="confidence")


@_confidence.callback()
def _callback() -> None:
    """How far a model's answers can be believed."""


@_confidence.command("run")
def _run(
    model: Annotated[str, typer.Option(help="Whose answers are judged.")],
    data: Annotated[
        Path | None, typer.Option(help="Questions: query_id, query, metric, reference; prompt if you like.")
    ] = None,
    recorded: Annotated[
        str | None, typer.Option(help="Recorded answers instead: a file of runs, or panel. Nothing is asked.")
    ] = None,
    signals: Annotated[str, typer.Option(help="all, or names with commas between them.")] = "all",
    limit: Annotated[int | None, typer.Option(min=1, help="Questions, drawn by --seed.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for journal, evidence, figures and pictures.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="A report page.")] = None,
    config: ConfigOption = None,
    seed: Annotated[int, typer.Option(help="Of draws, samples and halves.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Answers drawn per question.")] = 5,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of the samples.")] = 0.8,
    paraphrases: Annotated[int, typer.Option(min=1, help="Wordings of a question.")] = 5,
    meaning: Annotated[
        Literal["answer", "embedding", "judge"], typer.Option(help="What says that two answers are the same.")
    ] = "answer",
    judge: Annotated[str | None, typer.Option(help="With --meaning judge; by default the model.")] = None,
    embedder: Annotated[str, typer.Option(help="Compares texts.")] = "hashed",
    metric: Annotated[str | None, typer.Option(help="For questions that name none.")] = None,
    budget_usd: Annotated[float, typer.Option(min=0, help="All runs into --out together.")] = 1.0,
    no_budget: Annotated[bool, typer.Option("--no-budget", help="No limit; unknown prices pass.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 512,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Of a call.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="After failures that may pass.")] = 3,
    options: Annotated[
        list[str] | None, typer.Option("--option", help="FIELD=VALUE of every request; null takes one out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask questions with known answers, and print a line per signal: accuracy, ECE, AUROC, cost, ...

    Every answer is kept in a journal in --out at once: after Ctrl-C the same command goes on from there.
    """
    from suffice.evaluation.questioning import Asking

    if (data is None) == (recorded is None):
        raise ConfigError("give either --data with questions, or --recorded with answers")
    check_file(html, "--html")
    check_parent(out, "--out")
    names = _signals(signals)
    asking = Asking(
        n_samples=samples, temperature=temperature, n_paraphrases=paraphrases, max_tokens=max_tokens,
        concurrency=concurrency, seed=seed,
        fields={name: json_value(value) for name, value in pairs(options, "--option").items()},
    )  # fmt: skip
    if recorded is not None:
        known, failed, spent = _recorded(recorded, model, limit, seed), 0, None
    else:
        assert data is not None
        out = out or Path(f"confidence-{model}")
        out.mkdir(exist_ok=True)
        money = None if no_budget else Decimal(repr(budget_usd))
        panel = ConfidencePanel(configuration(config), model, judge, meaning == "judge", timeout_s, retries)
        found, spent = ask(panel, _items(data, metric, limit, seed), names, out, money, asking)
        known, failed = found.known, len(found.failed)
        _say_failures(found)
    _judge(known, names, model, meaning, embedder, seed, failed, spent, out, html, as_json)


def _judge(
    known: Sequence[Known],
    names: Sequence[str],
    model: str,
    meaning: str,
    embedder: str,
    seed: int,
    failed: int,
    spent: Decimal | None,
    out: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Compute, write, show."""
    from suffice import embedders
    from suffice.evaluation.known_answers import known_answers, with_combined
    from suffice.evaluation.signal_table import tabulate
    from suffice.reports.confidence_page import confidence_page, write_plots

    if not known:
        fail("no question has an answer with a score")
    chosen = embedders.create(embedder)
    with notes.status("reading signals") as status:
        table = tabulate(
            known,
            names,
            meaning=_meaning(meaning, chosen),
            embedder=chosen,
            on_step=lambda done: status.update(f"reading signals: {done:,} of {len(known):,} questions"),
        )
        table = with_combined(table, seed=seed)
        found = known_answers(
            table,
            model,
            seed=seed,
            failed=failed,
            spent_usd=spent,
            on_step=lambda name: status.update(f"judging {name}"),
        )
        kinds: tuple[str, ...] = ()
        if out is not None:
            out.mkdir(exist_ok=True)
            write_evidence(out / "evidence.jsonl", known, table)
            kinds = write_plots(found, table, out)
        if html is not None:
            write_atomically(html, confidence_page(found, table))
    print_json(found) if as_json else show(found, out, html, kinds)


def _signals(wanted: str) -> tuple[str, ...]:
    from suffice.plans.probes.signals import available, source

    if wanted.strip() == "all":
        return available()
    names = tuple(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
    for name in names:
        source(name)
    if not names:
        raise ConfigError("--signals names none")
    return names


def _items(data: Path, metric: str | None, limit: int | None, seed: int) -> list[Item]:
    from suffice.datasets import read_items
    from suffice.datasets.items import sample

    items = sample(read_items(data, metric=metric), limit, seed)
    if not items:
        raise ConfigError("the file holds no question")
    return items


def _recorded(source: str, model: str, limit: int | None, seed: int) -> list[Known]:
    from suffice.datasets import panel
    from suffice.datasets.items import sample_by
    from suffice.outcomes import Runs
    from suffice.plans.probes import recorded

    runs = panel.load_runs() if source == _PANEL else Runs.read(source)
    return sample_by(recorded(runs, model), limit, seed, lambda one: one.evidence.query_id)


def _meaning(name: str, embedder: Embedder) -> Meaning:
    from suffice.plans.probes import ByAnswer, ByEmbedding, ByJudge

    if name == "embedding":
        return ByEmbedding(embedder)
    return ByJudge() if name == "judge" else ByAnswer()


def _say_failures(found: Questioned) -> None:
    if found.failed:
        why = next(iter(found.failed.values()))
        said = f"{len(found.failed):,} questions have no answer, the first because: {why}"
        notes.print(said, style="yellow", highlight=False, soft_wrap=True)
