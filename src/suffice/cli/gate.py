"""`suffice gate`: when to look things up; fitted to and judged on recorded runs of every strategy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from suffice.cli.base import console, notes, print_json, print_table
from suffice.cli.data import EmbedderOption, WhereOption, names_of, pairs
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.evaluation.gating import GateFigures, GateReport, Recordings

_PROBE: Final = "confidence_probe"
_gate = typer.Typer(help="When to look things up: none, single or multi.", no_args_is_help=True)

SignalsOption = Annotated[
    list[str] | None,
    typer.Option("--signal", help="COLUMN for confidence_probe; -COLUMN: lower is surer; may be repeated."),
]
RouterOption = Annotated[str, typer.Option(help="Predicts each strategy's quality from the query's words.")]
LmShareOption = Annotated[float, typer.Option(min=0, help="What a model call counts beside a look-up.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    _gate.command("train")(_train)
    _gate.command("evaluate")(_evaluate)
    _gate.command("advise")(_advise)
    app.add_typer(_gate, name="gate")


def _evaluate(
    train: Annotated[Path, typer.Option(help="Recorded runs to fit to and to choose on.")],
    test: Annotated[Path, typer.Option(help="Recorded runs of other queries.")],
    gates: Annotated[str | None, typer.Option(help="Names with commas between them; all by default.")] = None,
    signals: SignalsOption = None,
    router: RouterOption = "ridge",
    embedder: EmbedderOption = None,
    lm_share: LmShareOption = 0.05,
    where: WhereOption = None,
    seed: Annotated[int, typer.Option(help="Of folds.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare gates: accuracy, look-ups, model calls; the recommended one is chosen on --train alone."""
    from suffice import embedders
    from suffice.evaluation.gating import DEFAULT_GATES, compare

    wanted = _wanted(names_of(gates) if gates else DEFAULT_GATES, signals)
    rows = [_read(path, where, signals) for path in (train, test)]
    _warn_of_overlap(*rows)
    with notes.status("reading") as status:
        found = compare(
            *rows,
            gates=wanted,
            router=router,
            embedder=embedders.create(embedder or "hashed"),
            lm_share=lm_share,
            seed=seed,
            report=status.update,
        )
    if as_json:
        print_json(found)
        return
    _show(found)


def _train(
    data: Annotated[Path, typer.Option(help="Recorded runs.")],
    out: Annotated[Path, typer.Option(help="The directory to write.")],
    gate: Annotated[str, typer.Option(help="never, always, classifier, utility, stepwise, ...")] = "stepwise",
    retrieval_price: Annotated[
        float,
        typer.Option(min=0, help="Quality per look-up: 0.01 is one right answer in a hundred."),
    ] = 0.015,
    signals: SignalsOption = None,
    router: RouterOption = "ridge",
    embedder: EmbedderOption = None,
    lm_share: LmShareOption = 0.05,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit one gate for what a look-up may cost, and save it with the router that it reads."""
    from suffice import embedders, gating
    from suffice.evaluation.gating import Predictor, figures

    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "cascade.json").is_file())):
        raise ConfigError(f"--out {out} holds other things than a gate: give a new directory")
    _check_signals(gate, signals)
    recordings = _read(data, where, signals)
    params = _probe((signals or [""])[0]) if gate == _PROBE else {}
    fitted = gating.create(gate, **params)
    with notes.status(f"fitting {gate} to {recordings.table.n_queries:,} queries"):
        targets = fitted.targets(recordings.table)
        predictor = Predictor(router, embedder=embedders.create(embedder or "hashed"))
        scores = predictor.crossed(recordings, targets)
        fitted.fit(recordings.table, scores, gating.Pay(retrieval_price, lm_share * retrieval_price))
        predictor.fit(recordings, targets)
    fitted.save(out)
    predictor.save(out / "router")
    found = figures(gate, fitted, recordings.table, scores, retrieval_price)
    if as_json:
        print_json({"gate": gate, "out": str(out), "on_fitted_rows": found})
        return
    console.print(
        f"{gate} on the {recordings.table.n_queries:,} queries it was fitted to, which flatters: accuracy "
        f"{found.in_accuracy:.3f}, {found.retrieval_calls:.2f} look-ups, {found.lm_calls:.2f} model calls",
        highlight=False,
        markup=False,
    )
    console.print(f"saved in {out}", highlight=False, markup=False, soft_wrap=True)


def _advise(
    access: Annotated[Literal["text", "logprobs", "weights"], typer.Option(help="What is given.")] = "text",
    training: Annotated[
        Literal["none", "labels", "finetune", "rl"], typer.Option(help="What may be spent on training.")
    ] = "none",
    labels: Annotated[int, typer.Option(min=0, help="Queries on which all strategies were judged.")] = 0,
    queries: Annotated[
        Literal["simple", "single_hop", "mixed", "multi_hop"], typer.Option(help="What is asked.")
    ] = "mixed",
    latency: Annotated[Literal["tight", "medium", "loose"], typer.Option(help="Time there is.")] = "medium",
    entities: Annotated[bool, typer.Option(help="Queries name entities whose popularity is known.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Which gate suits what you have, and why."""
    from suffice.gating import Situation, advise

    found = advise(
        Situation(
            access=access,
            training=training,
            n_labels=labels,
            queries=queries,
            latency=latency,
            has_entities=entities,
        )
    )
    if as_json:
        print_json(found)
        return
    console.print(f"{found.gate}: {found.reason}", highlight=False, markup=False)


def _read(path: Path, where: list[str] | None, signals: list[str] | None) -> Recordings:
    from suffice.evaluation.gating import read_recordings

    wanted = {name: names_of(text) for name, text in pairs(where, "--where").items()}
    return read_recordings(path, where=wanted, signals=[one.removeprefix("-") for one in signals or ()])


def _wanted(names: Sequence[str], signals: list[str] | None) -> dict[str, dict[str, Any]]:
    """Gates with their parameters; a probe for every signal."""
    for name in names:
        _check_signals(name, signals)
    probes = {f"{_PROBE}({one})": _probe(one) for one in signals or ()}
    return {name: {} for name in names if name != _PROBE} | probes


def _check_signals(gate: str, signals: list[str] | None) -> None:
    if gate == _PROBE and not signals:
        raise ConfigError(f"{_PROBE} needs --signal COLUMN, a column with a number for every answer")


def _probe(signal: str) -> dict[str, Any]:
    return {"signal": signal.removeprefix("-"), "higher_is_surer": not signal.startswith("-")}


def _warn_of_overlap(train: Recordings, test: Recordings) -> None:
    both = len(set(train.table.texts) & set(test.table.texts))
    if both:
        notes.print(f"{both:,} test queries are training queries: the figures flatter", style="yellow")


def _show(found: GateReport) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("gate", "accuracy", "95 %", "look-ups", "model calls", "AUROC", "answered by"):
        is_text = title in ("gate", "answered by")
        table.add_column(title, justify="left" if is_text else "right", overflow="fold", no_wrap="%" in title)
    for name, one in found.gates.items():
        mark = " *" if name == found.recommended.gate else ""
        _row(table, f"{name}{mark}", one)
    table.add_section()
    for name, one in found.baselines.items():
        _row(table, name, one)
    console.print(f"{found.n_train:,} training and {found.n_test:,} test queries\n", highlight=False)
    print_table(table)
    best = found.recommended
    console.print(
        f"* recommended, with a look-up priced at {best.retrieval_price:g}: by cross-validation on the "
        "training queries the fewest look-ups without loss against the best fixed strategy. AUROC: of the "
        "gate's view of whether the closed-book answer is wrong.",
        highlight=False,
        markup=False,
    )
    for what, value in found.assumed.items():
        notes.print(f"{what} is not recorded: {value}", style="yellow", highlight=False, markup=False)
    for name, why in found.skipped.items():
        notes.print(f"{name} skipped: {why}", style="yellow", highlight=False, markup=False)


def _row(table: Any, name: str, one: GateFigures) -> None:
    low, high = one.in_accuracy_ci
    shares = ", ".join(f"{arm} {share:.0%}" for arm, share in one.share.items() if share)
    table.add_row(
        name,
        f"{one.in_accuracy:.3f}",
        f"{low:.3f}-{high:.3f}",
        f"{one.retrieval_calls:.2f}",
        f"{one.lm_calls:.2f}",
        "" if one.auroc_needs_retrieval is None else f"{one.auroc_needs_retrieval:.2f}",
        shares,
    )
