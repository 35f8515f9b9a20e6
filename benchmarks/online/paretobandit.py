"""Learned rewards, only the chosen model's reward told: ours beside ParetoBandit from its own package.

    python benchmarks/online/paretobandit.py --data paretobandit.parquet --peer PYTHON_OF_ITS_ENVIRONMENT

The queries are split once into warm and stream; all sides play the same orders of the stream. ParetoBandit
runs on our contexts, and on MiniLM vectors (`suffice pull minilm`) with its own components and, as it ships
them, its own priors from 8,374 other queries; with its defaults, and with the setting that did best on the
warm queries. A side that spends more than the budget has an undue advantage: `spent` says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from suffice import embedders
from suffice.evaluation import replay_policy
from suffice.evaluation.replay import Stream
from suffice.evaluation.replay.contexts import contexts
from suffice.outcomes import Outcomes

BUDGETS = (3e-4, 1e-3, 2e-3, 5e-3)
HERE = Path(__file__).parent


def main() -> None:
    options = _options()
    warm, stream = Outcomes.read(options.data).split(0.5, seed=options.split_seed)
    bounds = {budget: _plain(stream).bound(budget) for budget in BUDGETS}
    rows: dict[str, dict[str, tuple[np.ndarray, float]]] = {}
    for policy in options.policies.split(","):
        for start, past in (("warm", warm), ("cold", None)):
            rows[f"{policy}, {start}"] = {}
            for budget in BUDGETS:
                found = replay_policy(stream, past, policy=policy, budget_usd=budget, n_seeds=options.seeds)
                assert found.overspend == 0
                rows[f"{policy}, {start}"][f"{budget:g}"] = (np.array(found.qualities), found.cost_per_query)
                print(policy, start, budget, found.share_of_bound, flush=True)
    ours = next(iter(rows))
    if options.peer:
        for name, runs in _peer(options, warm, stream).items():
            rows[f"ParetoBandit, {name}"] = {
                budget: (np.array(one["runs"])[:, 0], float(np.mean(one["runs"], axis=0)[1]))
                for budget, one in runs.items()
            }
    _show(rows, bounds, ours)


def _plain(stream: Outcomes) -> Stream:
    return Stream.of(
        stream.arms, np.zeros((stream.n_queries, 1), np.float32), stream.quality, stream.cost_usd
    )


def _peer(options: argparse.Namespace, warm: Outcomes, stream: Outcomes) -> dict[str, Any]:
    """What its side found, by view, start and setting, then by budget."""
    seen, past, _ = contexts(stream, warm)
    assert past is not None
    arrays = {
        "warm_ours": past,
        "stream_ours": seen,
        "warm_quality": warm.quality,
        "warm_cost": warm.cost_usd,
        "quality": stream.quality,
        "cost": stream.cost_usd,
        "budgets": np.array(BUDGETS),
        "orders": np.stack([_plain(stream).shuffled(seed).rows for seed in range(options.seeds)]),
    }
    if options.minilm:
        embedder = embedders.create("minilm")
        arrays |= {"warm_minilm": embedder.embed(warm.texts), "stream_minilm": embedder.embed(stream.texts)}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "problem.npz", **arrays)
        (Path(folder) / "models.json").write_text(json.dumps(stream.arms), "utf-8")
        subprocess.run([options.peer, HERE / "paretobandit_side.py", folder], check=True)
        found: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text("utf-8"))
    return found


def _show(
    rows: dict[str, dict[str, tuple[np.ndarray, float]]], bounds: dict[float, float], ours: str
) -> None:
    table = Table("policy", *(f"B = {budget:g}" for budget in BUDGETS))
    table.title = f"% of the bound, spent / B, and by how much {ours} is better (95 % interval)"
    for name, found in rows.items():
        cells = []
        for budget in BUDGETS:
            qualities, paid = found[f"{budget:g}"]
            cell = f"{qualities.mean() / bounds[budget]:.1%}, {paid / budget:.2f}"
            if name != ours:
                gains = rows[ours][f"{budget:g}"][0] - qualities
                half = 2.262 * gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
                cell += f" [{gains.mean() - half:+.4f}, {gains.mean() + half:+.4f}]"
            cells.append(cell)
        table.add_row(name, *cells)
    Console(width=170).print(table)
    print("bounds", {f"{budget:g}": round(bound, 4) for budget, bound in bounds.items()})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer", help="its interpreter")
    parser.add_argument("--minilm", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--policies", default="pilot,linucb", help="the first is compared with all others")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--split-seed", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
