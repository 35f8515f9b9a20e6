"""What a few dozen labels are worth to the built-in router, beside routers trained on the same ones.

    python -m scripts.pretrain.check_few_labels --data FOLDER

On zeroeval by a variant trained without zeroeval, GSM8K and near twins; on routerbench, no source, by
the same variant. Without labels the panel is known by its prices.
"""

from __future__ import annotations

import argparse
import csv
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from scripts.pretrain.corpus import load
from scripts.pretrain.reading import learn
from scripts.pretrain.train import CACHE, GSM8K, PANEL, artefact, left_out

from suffice import routers
from suffice.metrics import hull_at, upper_hull
from suffice.outcomes import Outcomes
from suffice.routers import builtin, prior
from suffice.routers.builtin_data import Facts, Pretrained
from suffice.types import Candidate, FloatArray, Price

_LABELS: Final = (0, 30, 100)
_ROUTERS: Final = ("builtin", "knn", "ridge")
_SEEDS: Final = 3
_N_TEST: Final = 600


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    corpus = load(folder, PANEL, CACHE)
    rest = corpus.select(~left_out(corpus, f"zeroeval/|{GSM8K}"))
    facts, arrays = artefact(rest, learn(rest), folder / "prices.csv")
    shipped = Pretrained(msgspec.convert(facts, Facts), arrays)
    builtin.pretrained = lambda: shipped  # the variant instead of what the package ships
    prior.facts = lambda: shipped.facts
    models = (folder / "zeroeval_models.txt").read_text(encoding="utf-8").split()
    for name, arms in (("zeroeval", models), ("routerbench", None)):
        table = _complete(folder / f"{name}.parquet", arms)
        for n_labels in _LABELS:
            for router in _ROUTERS if n_labels else ("builtin",):
                found = [
                    _tried(table, router, n_labels, seed, folder / "prices.csv") for seed in range(_SEEDS)
                ]
                print(f"{name:12} {n_labels:4} {router:8} {_shown(found)}", flush=True)


def _shown(found: list[tuple[float, float, float]]) -> str:
    aiq, zero, error = np.mean(found, axis=0)
    return f"AIQ {aiq:.3f} (zero router {zero:.3f}), calibration error {error:.3f}"


def _complete(path: Path, arms: list[str] | None) -> Outcomes:
    table = Outcomes.read(path)
    if arms is not None:
        table = table.select(arms=tuple(arm for arm in arms if arm in table.arms))
    known = ~np.isnan(table.quality).any(axis=1) & ~np.isnan(table.cost_usd).any(axis=1)
    return table.select(np.flatnonzero(known))


def _tried(table: Outcomes, name: str, n_labels: int, seed: int, prices: Path) -> tuple[float, float, float]:
    """AIQ, the zero router's, and the expected calibration error of scores, over unseen queries."""
    order = np.random.default_rng(seed).permutation(table.n_queries)
    test = table.select(order[-_N_TEST:])
    if n_labels:
        router: Any = routers.create(name).fit(table.select(order[:n_labels]))
    else:
        router = routers.untrained(name, _panel(table, prices))
    scores = np.nan_to_num(router.scores(test.queries))
    quality, costs = np.asarray(test.quality), np.asarray(test.cost_usd)
    means = costs.mean(axis=0)  # what an arm costs on average is known to all alike
    singles = (means, quality.mean(axis=0))
    best = int(np.argmax(singles[1]))
    curve = [singles]
    for value in (0.0, *np.logspace(-6, 0, 100), np.inf):
        gain = scores if np.isinf(value) else value * scores - means
        chosen = gain.argmax(axis=1)
        rows = np.arange(len(chosen))
        curve.append((np.array([costs[rows, chosen].mean()]), np.array([quality[rows, chosen].mean()])))
    routed = tuple(np.concatenate(column) for column in zip(*curve[1:], strict=True))
    grid = np.linspace(means.min(), means[best], 400)
    return _area(routed, grid), _area(singles, grid), _calibration_error(scores, quality)


def _area(points: tuple[Any, ...], grid: FloatArray) -> float:
    return float(np.nan_to_num(hull_at(upper_hull(*points), grid)).mean())


def _calibration_error(scores: FloatArray, quality: FloatArray) -> float:
    bins = np.minimum((scores * 10).astype(int), 9).ravel()
    gaps = np.bincount(bins, (scores - quality).ravel(), minlength=10)
    return float(np.abs(gaps).sum() / scores.size)


def _panel(table: Outcomes, prices: Path) -> list[Candidate]:
    """By list price; where there is none, by mean cost, which is in proportion to it."""
    with prices.open(encoding="utf-8") as lines:
        known = {row["model"]: row["usd_per_mtok_out"] for row in csv.DictReader(lines)}
    means = np.asarray(table.cost_usd).mean(axis=0)
    listed = all(arm in known for arm in table.arms)
    dearest = 60 / means.max()  # so that the dearest costs what GPT-4 did
    usd = [
        known[arm] if listed else f"{mean * dearest:.6f}" for arm, mean in zip(table.arms, means, strict=True)
    ]
    return [
        Candidate(
            name=arm,
            provider="recorded",
            model=arm,
            price=Price(input_usd_per_mtok=Decimal(one), output_usd_per_mtok=Decimal(one)),
        )
        for arm, one in zip(table.arms, usd, strict=True)
    ]


if __name__ == "__main__":
    main()
