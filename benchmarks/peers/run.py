"""LLMRouter, RouteLLM and ParetoBandit beside us: the same splits, the same vectors, in one run.

    benchmarks/peers/setup.sh PEERS          # once: their virtual environments
    python benchmarks/peers/run.py --peers PEERS --data outcomes.parquet [--models @FILE] [--pair STRONG,WEAK]

What stands in the table: `quality` of a router's choices where only quality counts, and what they cost;
`ours there` is the height of our reference router's hull at that cost; AIQ and APGR where a router gives a
curve or a ranking; times of one choice with the embedding looked up (`own reading`: of a whole decision).
LLMRouter's routers know no costs and give one choice per query, so they are a point and not a curve.

    python benchmarks/peers/run.py --peers PEERS --synthetic 1500,14,768     # times alone, on random vectors
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ours
from problem import Answer, Problem, Report
from rich.console import Console
from rich.table import Table

from suffice.embedders import HashedNgrams
from suffice.evaluation.measuring import Measured, measure
from suffice.evaluation.selection import has_costs, is_complete, select_models, select_pair
from suffice.evaluation.truth import Truth
from suffice.metrics import aiq, apgr, cost_share, hull_at, percentile_interval, resampled_means, upper_hull
from suffice.outcomes import Outcomes
from suffice.routers.lsa import Lsa

SIDES = {
    "llmrouter": "llmrouter_side.py",
    "routellm": "routellm_side.py",
    "paretobandit": "paretobandit_side.py",
}
HERE = Path(__file__).parent


def main() -> None:
    options = _options()
    if options.synthetic is None:
        table = Outcomes.read(options.data, where=dict(pair.split("=", 1) for pair in options.where))
        train, test = table.split(options.split, seed=options.seed)
        problem = _problem(train, test, options.models, options.pair, options.dimensions)
    else:
        problem = _synthetic(*map(int, options.synthetic.split(",")))
    truth = Truth(
        models=tuple(problem.models),
        quality=problem.test_quality,
        cost_usd=None if np.isnan(problem.test_cost).any() else problem.test_cost,
    )
    reports = _peer_reports(options, problem)
    mine = _ours(options.routers, options.reference, problem, truth)
    Console(width=160).print(_results(reports, mine, problem, truth, options.reference))
    if options.peers is not None:
        own = ours.footprint((options.peers / "suffice" / "bin" / "python").absolute())
        Console(width=160).print(_footprints([own, *reports]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--synthetic", help="QUERIES,MODELS,DIMENSIONS instead of data: for times alone")
    parser.add_argument("--where", action="append", default=[], help="COLUMN=VALUE")
    parser.add_argument("--models", help="names with commas between them, or @FILE")
    parser.add_argument("--pair", help="STRONG,WEAK")
    parser.add_argument("--split", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dimensions", type=int, default=256, help="of the vectors that all are given")
    parser.add_argument("--peers", type=Path, help="directory with their virtual environments")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--routers", default="knn,svm,mlp,mf,sw_ranking")
    parser.add_argument("--reference", default="ensemble", help="our router that peers are held against")
    return parser.parse_args()


def _problem(
    train: Outcomes, test: Outcomes, models: str | None, pair: str | None, dimensions: int
) -> Problem:
    wanted = None
    if models is not None:
        listed = Path(models[1:]).read_text().split() if models.startswith("@") else models.split(",")
        wanted = [name for name in listed if name]
    names, _ = select_models(train, wanted)
    train, test = train.select(arms=names), test.select(arms=names)
    test = test.select(rows=is_complete(test, costs=has_costs(train)))
    embedder = HashedNgrams()
    rows = embedder.features(train.texts)
    lsa = Lsa.learn(rows, dimensions=dimensions, seed=0)
    chosen = select_pair(train, None if pair is None else tuple(pair.split(",", 1)))  # type: ignore[arg-type]
    return Problem(
        models=list(names),
        train_texts=list(train.texts),
        test_texts=list(test.texts),
        train_vectors=lsa.project(rows),
        test_vectors=lsa.project(embedder.features(test.texts)),
        train_quality=np.array(train.quality),
        test_quality=np.array(test.quality),
        train_cost=np.array(train.cost_usd),
        test_cost=np.array(test.cost_usd),
        pair=None if chosen is None else list(chosen),
    )


def _synthetic(n: int, n_models: int, dimensions: int) -> Problem:
    """Random unit vectors and answers; the first half of the dimensions says a little about quality."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n + 200, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality = (vectors @ rng.standard_normal((dimensions, n_models)) + 0.3 > rng.random(n_models)) * 1.0
    costs = np.tile(np.geomspace(1e-5, 1e-2, n_models), (n + 200, 1))
    words = np.array(["sum", "poem", "code", "proof", "city", "rhyme", "loop", "king"])
    texts = [" ".join(rng.choice(words, 30)) + f" {row}" for row in range(n + 200)]
    return Problem(
        models=[f"model-{k}" for k in range(n_models)],
        train_texts=texts[:n],
        test_texts=texts[n:],
        train_vectors=vectors[:n],
        test_vectors=vectors[n:],
        train_quality=quality[:n],
        test_quality=quality[n:],
        train_cost=costs[:n],
        test_cost=costs[n:],
        is_tuned=False,
    )


def _peer_reports(options: argparse.Namespace, problem: Problem) -> list[Report]:
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        problem.save(folder)
        for side in filter(None, options.sides.split(",")):
            if options.peers is None or (side == "routellm" and problem.pair is None):
                continue
            if side == "paretobandit" and np.isnan(problem.train_cost).all():
                continue  # it wants a price of every model
            python = (options.peers / side / "bin" / "python").absolute()
            output = folder / f"{side}.json"
            subprocess.run([python, HERE / f"{side}_side.py", folder, output], check=True, cwd=HERE)
            found.append(Report.load(output))
    return found


def _ours(names: str, reference: str, problem: Problem, truth: Truth) -> dict[str, tuple[Answer, Measured]]:
    costs = ours.predicted_costs(problem)
    pair = None if problem.pair is None else (problem.pair[0], problem.pair[1])
    found = {}
    for name, own_text in (*((name, False) for name in names.split(",")), (reference, True)):
        answer, scores = ours.run(problem, name, own_text=own_text)
        label = f"{name}, own reading" if own_text else name
        found[label] = answer, measure(truth, scores, costs, pair)
    return found


def _results(
    reports: Sequence[Report],
    found: dict[str, tuple[Answer, Measured]],
    problem: Problem,
    truth: Truth,
    reference: str,
) -> Table:
    shown = Table(
        title=f"{len(problem.models)} models, {len(problem.train_texts):,} training and "
        f"{len(problem.test_texts):,} test queries, {problem.train_vectors.shape[1]} dimensions"
    )
    for column in (
        "router",
        "quality",
        "95 %",
        "USD/1k",
        "ours there",
        "AIQ",
        "at 95 %",
        "APGR",
        "fit s",
        "decision us",
        "p95 us",
        "setting",
    ):
        shown.add_column(column, justify="left" if column in ("router", "setting") else "right")
    curve = found[f"{reference}, own reading"][1].curve
    hull = None if truth.cost_usd is None else upper_hull(curve.cost_usd, curve.quality)
    for name, (answer, measured) in found.items():
        best = np.arange(len(truth.quality)), measured.curve.chosen[-1]
        own_hull = None if hull is None else upper_hull(measured.curve.cost_usd, measured.curve.quality)
        shown.add_row(
            f"Suffice {name}",
            *_point(truth, best[1]),
            "",
            _number(measured.aiq),
            _share(own_hull, truth),
            _number(measured.pair and measured.pair.apgr),
            *_times(answer),
        )
    for report in reports:
        for answer in report.answers:
            shown.add_row(f"{report.peer} {answer.router}", *_peer_cells(answer, problem, truth, hull))
    best = truth.best_single
    shown.add_row(f"best single: {truth.models[best]}", *_point(truth, np.full(len(truth.quality), best)))
    return shown


def _peer_cells(answer: Answer, problem: Problem, truth: Truth, hull: object) -> list[str]:
    if answer.choices is not None:
        chosen = np.array(answer.choices)
        there = "" if hull is None else f"{float(hull_at(hull, truth.cost_of(chosen).mean())):.3f}"  # type: ignore[arg-type]
        return [*_point(truth, chosen), there, "", "", "", *_times(answer)]
    if answer.curves is not None:
        points = np.array(answer.curves)
        costs = truth.cost_of(points).mean(axis=1)
        qualities = truth.quality_of(points).mean(axis=1)
        span = truth.cost_range()
        area = None if span is None else aiq(costs, qualities, *span)
        best = points[int(qualities.argmax())]
        there = "" if hull is None else f"{float(hull_at(hull, truth.cost_of(best).mean())):.3f}"  # type: ignore[arg-type]
        share = _share(upper_hull(costs, qualities), truth)
        return [*_point(truth, best), there, _number(area), share, "", *_times(answer)]
    if answer.win_rate is not None and problem.pair is not None:
        strong, weak = (problem.models.index(model) for model in problem.pair)
        area = apgr(answer.win_rate, truth.quality[:, strong], truth.quality[:, weak])
        return ["", "", "", "", "", "", _number(area), *_times(answer)]
    return [""] * 10 + [answer.note]


def _point(truth: Truth, chosen: np.ndarray) -> list[str]:
    quality = truth.quality_of(chosen)
    low, high = percentile_interval(resampled_means(quality[:, None], 1000)[:, 0])
    cost = 1000 * float(truth.cost_of(chosen).mean())
    return [f"{quality.mean():.3f}", f"{low:.3f}-{high:.3f}", "-" if np.isnan(cost) else f"{cost:.3g}"]


def _share(hull: object, truth: Truth) -> str:
    span = truth.cost_range()
    if hull is None or span is None:
        return ""
    share = cost_share(hull, float(truth.mean_quality[truth.best_single]), 0.95, span[1])  # type: ignore[arg-type]
    return "-" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _times(answer: Answer) -> list[str]:
    def shown(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{value:,.{digits}f}"

    return [shown(answer.fit_s, 1), shown(answer.decision_us), shown(answer.decision_us_p95), answer.note]


def _footprints(reports: Sequence[Report]) -> Table:
    shown = Table(title="What it takes to have it")
    for column in ("peer", "import CPU s", "import MB", "installed MB", "packages"):
        shown.add_column(column, justify="right" if column != "peer" else "left")
    for report in reports:
        shown.add_row(
            report.peer,
            f"{report.import_cpu_s:.2f}",
            f"{report.import_rss_mb:.0f}",
            f"{report.site_mb:,.0f}",
            str(report.n_packages),
        )
    return shown


if __name__ == "__main__":
    main()
