"""`suffice calibrate`: confidences made honest, and the threshold for a share of strong calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli.base import console, notes, print_json
from suffice.cli.data import (
    AggregateOption,
    ArmOption,
    EmbedderOption,
    WhereOption,
    check_file,
    names_of,
    read_outcomes,
    write_atomically,
)
from suffice.cli.formats import share as shown_share
from suffice.errors import ConfigError, DataError, UnknownModel

if TYPE_CHECKING:
    from suffice.calibration import Calibrator
    from suffice.evaluation.calibrating import Worth
    from suffice.outcomes import Outcomes, Runs
    from suffice.protocols import Router
    from suffice.types import FloatArray


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(_calibrate)


def _calibrate(
    data: Annotated[Path, typer.Option(help="Outcomes that nothing was fitted to.")],
    score: Annotated[
        str | None, typer.Option(help="COLUMN, or COLUMN.KEY, in [0, 1]: how sure of each answer.")
    ] = None,
    router: Annotated[Path | None, typer.Option(help="Instead: a trained router's scores.")] = None,
    model: Annotated[str | None, typer.Option(help="Its answers alone; by default those of all.")] = None,
    method: Annotated[str, typer.Option(help="auto (by cross-validation), or names with commas.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the calibrator here.")] = None,
    share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of queries for the strong model: its threshold.")
    ] = None,
    strong: Annotated[str | None, typer.Option(help="With --share: the dearer model.")] = None,
    weak: Annotated[str | None, typer.Option(help="With --share: the cheaper one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    embedder: EmbedderOption = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Fit a calibrator to confidences, and find the threshold for a share of strong calls."""
    check_file(out, "--out")
    if (router is None) == (score is None):
        raise typer.BadParameter("give --router DIR or --score COLUMN, one of the two", param_hint="--router")
    if share is not None and (router is None or strong is None or weak is None):
        raise typer.BadParameter("--share needs --router, --strong and --weak", param_hint="--share")
    facts: dict[str, Any] = {}
    if router is not None:
        rows = read_outcomes(data, where, arm, aggregate)
        scores = _router_scores(router, embedder, rows)
        if share is not None:
            assert strong is not None and weak is not None
            facts |= _for_share(share, scores, rows, strong, weak)
        confidence, quality = _cells(scores, rows, model)
    else:
        assert score is not None
        confidence, quality = _column(data, score, model, where, arm)
    facts |= _fit(confidence, quality, method, seed, out, score or f"router {router}", model)
    if as_json:
        print_json(facts)
    else:
        _show(facts, out)


def _router_scores(directory: Path, embedder: str | None, rows: Outcomes) -> FloatArray:
    """(n, K) in the order of the table; NaN for models that the router does not know."""
    import numpy as np

    from suffice import embedders, routers
    from suffice.routers.trained_on import trained_on

    found: Router = routers.load(directory, embedder=None if embedder is None else embedders.create(embedder))
    seen = trained_on(found, directory, rows.texts)
    if seen.any():
        raise DataError(
            f"{int(seen.sum()):,} of {len(seen):,} queries (such as {rows.ids[int(seen.argmax())]!r}) were "
            f"used to train the router in {directory}: it is surer of those; give others"
        )
    scores = np.full((rows.n_queries, len(rows.arms)), np.nan)
    known = [name for name in rows.arms if name in found.arms]
    columns = [found.arms.index(name) for name in known]
    scores[:, [rows.arms.index(name) for name in known]] = found.scores(rows.queries)[:, columns]
    return scores


def _for_share(share: float, scores: FloatArray, rows: Outcomes, strong: str, weak: str) -> dict[str, Any]:
    from suffice.evaluation.calibrating import threshold_for

    for name in (strong, weak):
        if name not in rows.arms:
            raise UnknownModel(name, rows.arms)
    gain = scores[:, rows.arms.index(strong)] - scores[:, rows.arms.index(weak)]
    threshold = threshold_for(share, gain)
    reached = float((~(gain < threshold)).mean())
    return {"threshold": threshold, "strong_share": reached, "strong": strong, "weak": weak}


def _cells(scores: FloatArray, rows: Outcomes, model: str | None) -> tuple[FloatArray, FloatArray]:
    """Where score and quality are both known."""
    import numpy as np

    if model is not None and model not in rows.arms:
        raise UnknownModel(model, rows.arms)
    columns = [place for place, name in enumerate(rows.arms) if model in (None, name)]
    confidence, quality = scores[:, columns].ravel(), rows.quality[:, columns].ravel()
    is_known = ~np.isnan(confidence + quality)
    return confidence[is_known], quality[is_known]


def _column(
    path: Path, column: str, model: str | None, where: list[str] | None, arm: str
) -> tuple[FloatArray, FloatArray]:
    """Of every row that has both."""
    import numpy as np

    from suffice.cli.data import pairs
    from suffice.outcomes import Runs

    runs = Runs.read(path)
    wanted = {name: names_of(text) for name, text in pairs(where, "--where").items()}
    if model is not None:
        known = dict.fromkeys(str(name) for name in runs.column(arm) if name is not None)
        if model not in known:
            raise DataError(
                f"no row is of the model {model!r}; there are {', '.join(known) or 'none'}",
                file=str(path),
                column=arm,
            )
        wanted[arm] = [model]
    runs = runs.where(**wanted) if wanted else runs
    both = [
        (given, quality)
        for given, quality in zip(_values(runs, column), runs.column("score"), strict=True)
        if given is not None and quality is not None
    ]
    try:
        table = np.array(both, dtype=np.float64).reshape(-1, 2)
    except (ValueError, TypeError):
        wrong = next(given for given, _ in both if not _is_number(given))
        keys = f"; give {column}.KEY, one of {', '.join(wrong)}" if isinstance(wrong, dict) else ""
        said = f"{str(wrong)[:60]!r} is not a number in [0, 1]{keys}"
        raise DataError(said, file=str(path), column=column) from None
    return table[:, 0], table[:, 1]


def _values(runs: Runs, column: str) -> list[Any]:
    """Of a column, or as COLUMN.KEY of the objects in one."""
    name, _, key = column.partition(".")
    if column in runs.columns or not key:
        return runs.column(column)
    found = [value if isinstance(value, dict) else {} for value in runs.column(name)]
    known = dict.fromkeys(one for value in found for one in value)
    if key not in known:
        raise DataError(f"no value has the key {key!r}; there are: {', '.join(known) or 'none'}", column=name)
    return [value.get(key) for value in found]


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError):
        return False
    return True


def _fit(
    confidence: FloatArray,
    quality: FloatArray,
    method: str,
    seed: int,
    out: Path | None,
    signal: str,
    model: str | None,
) -> dict[str, Any]:
    import numpy as np

    from suffice.calibration import choose_calibrator
    from suffice.evaluation.calibrating import Worth, cross_fitted

    if len(confidence) < 2:
        raise DataError(f"{len(confidence)} rows have both a confidence and a score: at least 2 are needed")
    is_graded = ~np.isin(quality, (0.0, 1.0))
    if is_graded.any():
        notes.print(
            f"{int(is_graded.sum()):,} answers are neither right nor wrong: from 0.5 on they count as right",
            style="yellow",
        )
    correct = (quality >= 0.5).astype(np.float64)
    candidates = None if method == "auto" else names_of(method)
    try:
        chosen = choose_calibrator(confidence, correct, candidates=candidates, seed=seed)
        after = cross_fitted(confidence, correct, candidates=candidates, seed=seed)
    except ConfigError as error:
        raise ConfigError(f"--method {method}: {error}") from error
    if out is not None:
        write_atomically(out, _content(chosen, confidence, signal, model))
    return {
        "calibrator": chosen.name,
        "n": len(confidence),
        "before": Worth.of(confidence, correct),
        "after": Worth.of(after, correct),
    }


def _content(chosen: Calibrator, confidence: FloatArray, signal: str, model: str | None) -> str:
    """The calibrator, and beside it what it was fitted to and how its confidences were spread."""
    from suffice.evaluation.calibrating import spread

    edges, shares = spread(chosen.predict(confidence))
    about = {
        "signal": signal,
        "model": model,
        "n": len(confidence),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "reference": {"edges": edges, "shares": shares},
    }
    return json.dumps(json.loads(chosen.to_json()) | {"about": about}) + "\n"


def _show(facts: dict[str, Any], out: Path | None) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in (f"{facts['n']:,} answers", "log loss", "calibration error", "Brier score"):
        table.add_column(title, justify="left" if "answers" in title else "right")
    for name in ("before", "after"):
        worth: Worth = facts[name]
        what = name if name == "before" else f"{facts['calibrator']}, on rows left out"
        table.add_row(what, *(f"{value:.4f}" for value in (worth.nll, worth.ece, worth.brier)))
    console.print(table)
    if "threshold" in facts:
        strong, weak = facts["strong"], facts["weak"]
        text = (
            f"policy: {{name: threshold, threshold: {facts['threshold']!r}, strong: {strong}, weak: {weak}}}"
            f"  # {strong} answers {shown_share(facts['strong_share'])} of these"
        )
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if out is not None:
        console.print(f"written to {out}", highlight=False, markup=False, soft_wrap=True)
