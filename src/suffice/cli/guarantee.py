"""`suffice guarantee`: a threshold with a promise, certified on rows that nothing was fitted to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli.base import console, notes, print_json
from suffice.cli.data import (
    AggregateOption,
    ArmOption,
    EmbedderOption,
    PricesOption,
    WhereOption,
    check_file,
    read_groups,
    read_outcomes,
    write_atomically,
)
from suffice.cli.formats import share
from suffice.errors import DataError

if TYPE_CHECKING:
    from suffice.calibration.guarantee import Certificate
    from suffice.evaluation.guaranteeing import Tested
    from suffice.outcomes import Outcomes
    from suffice.protocols import Router
    from suffice.types import BoolArray, FloatArray


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("guarantee")(_guarantee)


def _guarantee(
    calibration: Annotated[Path, typer.Option(help="Outcomes that nothing was fitted to.")],
    strong: Annotated[str, typer.Option(help="The model that the promise is measured by.")],
    weak: Annotated[str, typer.Option(help="The model that saves.")],
    test: Annotated[Path | None, typer.Option(help="Further outcomes, to see how it went.")] = None,
    router: Annotated[Path | None, typer.Option(help="The directory of a trained router.")] = None,
    score: Annotated[
        str | None, typer.Option(help="Instead: COLUMN in [0, 1], sure that the weak model suffices.")
    ] = None,
    promise: Annotated[str, typer.Option(help="mean-drop, regressions, selective or ratio.")] = "mean-drop",
    epsilon: Annotated[float, typer.Option(help="What may be lost at most.")] = 0.02,
    delta: Annotated[float, typer.Option(help="Probability that the promise is wrong.")] = 0.1,
    grid: Annotated[str | None, typer.Option(help="THRESHOLDS with commas, fixed beforehand.")] = None,
    method: Annotated[
        str | None, typer.Option(help="betting, binomial or hoeffding-bentkus; the best that fits.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order in which rows are bet on.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the certificate here.")] = None,
    embedder: EmbedderOption = None,
    prices: PricesOption = None,
    where: WhereOption = None,
    arm: ArmOption = "model",
    aggregate: AggregateOption = "error",
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Choose the threshold between two models that keeps a promise, with the confidence asked for."""
    from suffice.calibration.guarantee import GAIN, GRID, certify
    from suffice.catalogue import read_prices
    from suffice.evaluation import guaranteeing

    check_file(out, "--out")
    if (router is None) == (score is None):
        raise typer.BadParameter("give --router DIR or --score COLUMN, one of the two", param_hint="--router")
    thresholds = _numbers(grid) or (GRID if router is None else guaranteeing.GAIN_GRID)
    price_list = None if prices is None else read_prices(prices)

    def read(path: Path) -> Outcomes:
        found = read_outcomes(path, where, arm, aggregate)
        found = found if price_list is None else found.with_prices(price_list)
        rows = guaranteeing.pair(found, strong, weak)
        if rows.n_queries < found.n_queries:
            _warn(f"{path}: {found.n_queries - rows.n_queries:,} queries left out, not known for both models")
        return rows

    scorer = _Scorer(router, score, embedder)
    rows = read(calibration)
    scorer.check_unseen(rows)
    certificate = certify(
        scorer.scores(rows, calibration),
        rows.quality[:, 1],
        rows.quality[:, 0],
        promise=promise,
        epsilon=epsilon,
        delta=delta,
        grid=thresholds,
        method=method,
        seed=seed,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    result = None
    if test is not None:
        others = read(test)
        n_both = len(set(rows.texts) & set(others.texts))
        if n_both:
            _warn(f"{n_both:,} test queries stand in the calibration file too: the test flatters")
        n_known = int(scorer.seen(others).sum())
        if n_known:
            _warn(f"{n_known:,} test queries were used to train the router in {router}: the test flatters")
        result = guaranteeing.tested(others, scorer.scores(others, test), certificate.threshold)
    certificate = replace(certificate, strong=strong, weak=weak, score=score or GAIN, router=scorer.version)
    if out is not None:
        write_atomically(out, certificate.to_json())
    if as_json:
        print_json(_facts(certificate, result))
        return
    _show(certificate, result, is_gain=router is not None)


class _Scorer:
    """Where scores come from: a router, or a column of the file."""

    def __init__(self, directory: Path | None, column: str | None, embedder: str | None) -> None:
        from suffice import embedders, routers

        self._directory, self._column = directory, column
        self._router: Router | None = None
        if directory is not None:
            vectors = None if embedder is None else embedders.create(embedder)
            self._router = routers.load(directory, embedder=vectors)

    def seen(self, rows: Outcomes) -> BoolArray:
        """(n,) of queries that the router was trained on, as far as its artefact shows."""
        import numpy as np

        from suffice.routers.trained_on import trained_on

        if self._directory is None:
            return np.zeros(rows.n_queries, dtype=bool)
        return trained_on(self._router, self._directory, rows.texts)

    def check_unseen(self, rows: Outcomes) -> None:
        """Refuse rows that the router was trained on, where its artefact shows that."""
        seen = self.seen(rows)
        if seen.any():
            example = rows.ids[int(seen.argmax())]
            raise DataError(
                f"{int(seen.sum()):,} of {len(seen):,} calibration queries (such as {example!r}) were used "
                f"to train the router in {self._directory}: the promise would not hold; give others"
            )

    @property
    def version(self) -> str | None:
        """Of the router."""
        from suffice.routers import read_manifest

        return None if self._directory is None else read_manifest(self._directory).version

    def scores(self, rows: Outcomes, path: Path) -> FloatArray:
        """(n,), in [0, 1]."""
        from suffice.evaluation import guaranteeing

        if self._router is not None:
            return guaranteeing.gain_scores(self._router, rows)
        assert self._column is not None
        try:
            values = {name: float(text) for name, text in read_groups([path], self._column).items()}
        except ValueError as error:
            raise DataError(f"a value is no number ({error})", file=str(path), column=self._column) from None
        return guaranteeing.column_scores(rows, values)


def _numbers(grid: str | None) -> tuple[float, ...] | None:
    if grid is None:
        return None
    try:
        return tuple(float(part) for part in grid.split(","))
    except ValueError:
        raise typer.BadParameter(f"{grid!r} is not THRESHOLD,THRESHOLD", param_hint="--grid") from None


def _facts(certificate: Certificate, result: Tested | None) -> dict[str, Any]:
    return {
        "certified": certificate.certified,
        "threshold": certificate.threshold,
        "weak_share": certificate.weak_share,
        "bound": certificate.bound,
        "n": certificate.n,
        "rows_needed": certificate.rows_needed,
        "test": result,
    }


def _show(certificate: Certificate, result: Tested | None, *, is_gain: bool) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("promise", f"{certificate.promise} at most {certificate.epsilon:g}")
    table.add_row(
        "confidence", f"{1 - certificate.delta:.0%}, by {certificate.method} on {certificate.n:,} rows"
    )
    if certificate.threshold is not None:
        gain = f", a gain of {1 - 2 * certificate.threshold:+.3f}" if is_gain else ""
        table.add_row("threshold", f"{certificate.threshold:g}{gain}")
        table.add_row("weak model", share(certificate.weak_share))
        table.add_row("upper bound", f"{certificate.bound:.4f}")
    if result is not None:
        saved = "" if result.cost_saved is None else f", {share(result.cost_saved)} of the cost saved"
        table.add_row("on the test", f"drop {result.drop:.4f}, weak model {share(result.weak_share)}{saved}")
    console.print(table)
    console.print(certificate.advice, style="bold", highlight=False, markup=False, soft_wrap=True)


def _warn(text: str) -> None:
    notes.print(text, style="yellow", highlight=False, markup=False)
