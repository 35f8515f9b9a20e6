"""Routers trained on preferences, before and after golden labels: RouteLLM's table on its three sets.

    python benchmarks/preferences/run.py --data DIR [--routers sw_ranking,mf,bert,causal_lm] [--seeds 3]
        [--golden 0,200,1500] [--encoder DIR]

Trained on AlpacaEval's pairs (GPT-4 as judge) and PandaLM's (three people), tested on one random half of
RouteLLM's MT-Bench, MMLU (2,000 of that half at most) and GSM8K; golden labels come from the other half,
all of it where it has fewer than asked, and are repeated until they are four times as many as the pairs
(`data.with_golden` says why). AlpacaEval's data are CC BY-NC 4.0: they are measured locally, and nothing of
them or trained on them ships.

gpt4_1106_preview is RouteLLM's strong model. Mixtral-8x7B has no usable battle, so five models of about
its strength are taken as one and stand for it, as RouteLLM groups models into tiers. PandaLM's are weaker.

CPT50, CPT80 (share of calls to GPT-4 for 50 and 80 % of the gap), APGR and the saving are means over
seeds, the interval the mean of every half's own 95 % bootstrap interval. Saving: GPT-4's price over the
mixture's at 95 % of GPT-4's quality, at RouteLLM's 24.7 and 0.24 USD per million tokens. Overhead: CPU
time of `scores` for a single query, at 0.05 USD an hour, over the mean cost of GPT-4's answer at list
price. MT-Bench and MMLU have no token counts: characters / 4, MMLU's answer one token, its few-shot
examples not counted. bert and causal_lm take at most 160 steps of 16 prompts (64 tokens), with one seed, and
are tested on 500 queries at most, so not on all of the others'. Of bert's encoder only the last layer is
trained (of MiniLM's six). Without --encoder it is random and tiny; causal_lm always is.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from data import SETS, STRONG, WEAK, Problem, read_battles, read_problem, with_golden

from suffice import embedders, routers
from suffice.metrics.pairwise import apgr, cpt, resampled_apgr
from suffice.outcomes import Outcomes, Preferences
from suffice.types import FloatArray

ROUTERS: Final = "sw_ranking,mf,bert,causal_lm"
STRONG_PRICE, WEAK_PRICE = 24.7, 0.24
USD_PER_CPU_SECOND: Final = 0.05 / 3600
FINE_TUNED: Final = ("bert", "causal_lm")
N_PAIRS, N_TEST, N_TEST_FINE_TUNED, N_TIMED, N_RESAMPLES = 8000, 2000, 500, 30, 1000
BRIEF: Final = {"epochs": 4.0, "max_steps": 160, "batch": 16, "max_length": 64}
N_FROZEN: Final = 5


@dataclass(frozen=True)
class Figures:
    """Of one router on one half."""

    cpt50: float
    cpt80: float
    apgr: float
    low: float
    high: float
    saving: float
    cpu: float
    """Seconds a query."""


def measure(difference: FloatArray, test: Outcomes, cpu: float) -> Figures:
    strong, weak = test.quality.T
    wanted = (0.95 * strong.mean() - weak.mean()) / (strong.mean() - weak.mean())
    calls = cpt(difference, strong, weak, max(0.0, float(wanted)))
    saving = STRONG_PRICE / (calls * STRONG_PRICE + (1 - calls) * WEAK_PRICE)
    interval = np.nanquantile(resampled_apgr(difference, strong, weak, N_RESAMPLES), (0.025, 0.975))
    half, most = (cpt(difference, strong, weak, share) for share in (0.5, 0.8))
    return Figures(half, most, apgr(difference, strong, weak), *interval.tolist(), saving, cpu)


def trained(name: str, pairs: Preferences, seed: int, encoder: str) -> Any:
    if name == "bert":
        frozen = 0 if encoder == "tiny" else N_FROZEN
        router = routers.create(name, encoder=encoder, frozen_layers=frozen, seed=seed, **BRIEF)
        return router.fit_preferences(pairs)
    if name == "causal_lm":
        return routers.create(name, model="tiny", seed=seed, **BRIEF).fit_preferences(pairs)
    router = routers.create(name, embedder=embedders.create("hashed"), seed=seed)
    return router.fit_preferences(pairs)


def tested(router: Any, test: Outcomes) -> Figures:
    start = time.process_time()
    for query in test.queries[:N_TIMED]:
        router.scores([query])
    cpu = (time.process_time() - start) / min(N_TIMED, test.n_queries)
    scores = router.scores(test.queries)
    arms = router.arms
    return measure(scores[:, arms.index(STRONG)] - scores[:, arms.index(WEAK)], test, cpu)


def table(problem: Problem, rows: list[tuple[str, str, list[Figures]]]) -> None:
    about = "about " if problem.estimated else ""
    strong, weak = problem.outcomes.quality.mean(axis=0)
    print(
        f"\n{problem.name}: {problem.outcomes.n_queries:,} queries, quality of GPT-4 "
        f"{strong:.3f}, of Mixtral {weak:.3f}; "
        f"GPT-4's answer costs {about}{problem.strong_usd * 1e3:.2f} USD per 1,000\n"
        f"{'router':11} {'golden':>8} {'CPT50':>7} {'CPT80':>7} {'APGR':>6}  {'95 % CI':13} "
        f"{'saving at 95 %':>15} {'published':>9} {'µs/query':>9} {'overhead':>9}"
    )
    for name, golden, found in rows:
        mean = {key: float(np.mean([getattr(one, key) for one in found])) for key in Figures.__annotations__}
        share = mean["cpu"] * USD_PER_CPU_SECOND / problem.strong_usd
        timing = f"{mean['cpu'] * 1e6:9,.0f} {share:9.4%}" if mean["cpu"] else f"{'-':>9} {'-':>9}"
        print(
            f"{name:11} {golden:>8} {mean['cpt50']:7.1%} {mean['cpt80']:7.1%} {mean['apgr']:6.3f}  "
            f"{mean['low']:.3f}-{mean['high']:.3f}   {mean['saving']:14.2f}x {'over 2x':>9} {timing}",
            flush=True,
        )


class Benchmark:
    """Remembers routers trained without golden labels: they are the same for all sets."""

    def __init__(self, folder: Path, encoder: str, seeds: int) -> None:
        self.encoder, self.seeds = encoder, seeds
        self.pairs = [read_battles(folder, N_PAIRS, seed) for seed in range(seeds)]
        self._plain: dict[tuple[str, int], Any] = {}

    def router(self, name: str, labelled: Outcomes, n_golden: int, seed: int) -> Any:
        if n_golden:
            return trained(name, with_golden(self.pairs[seed], labelled, n_golden)[0], seed, self.encoder)
        key = (name, seed)
        if key not in self._plain:
            self._plain[key] = trained(name, self.pairs[seed], seed, self.encoder)
        return self._plain[key]

    def row(self, problem: Problem, name: str, wanted: int) -> tuple[str, str, list[Figures]]:
        is_fine_tuned = name in FINE_TUNED
        found, n_golden = [], 0
        for seed in range(1 if is_fine_tuned else self.seeds):
            labelled, test = problem.half(seed)
            n_golden = min(wanted, labelled.n_queries)
            router = self.router(name, labelled, n_golden, seed)
            most = N_TEST_FINE_TUNED if is_fine_tuned else N_TEST
            found.append(tested(router, test.select(np.arange(min(most, test.n_queries)))))
        return name, f"{n_golden:,}" + ("*" if n_golden < wanted else ""), found

    def rows(
        self, problem: Problem, names: list[str], counts: list[int]
    ) -> list[tuple[str, str, list[Figures]]]:
        n_train = problem.outcomes.n_queries // 2
        rows = []
        for name in names:
            asked: dict[int, int] = {}
            for count in counts:  # two counts beyond what there is are the same
                asked.setdefault(min(count, n_train), count)
            rows += [self.row(problem, name, count) for count in asked.values()]
        tests = [problem.half(seed)[1] for seed in range(self.seeds)]
        tests = [test.select(np.arange(min(N_TEST, test.n_queries))) for test in tests]
        return [*rows, ("random", "-", [measure(np.zeros(t.n_queries), t, 0.0) for t in tests])]


def main() -> None:
    parser = argparse.ArgumentParser(description="Routers trained on preferences, with golden labels added.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--routers", default=ROUTERS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--golden", default="0,200,1500")
    parser.add_argument("--encoder", default="tiny", help="directory of bert's encoder")
    parser.add_argument("--sets", default=",".join(SETS))
    args = parser.parse_args()
    bench = Benchmark(args.data, args.encoder, args.seeds)
    first = bench.pairs[0]
    print(f"{len(first):,} pairs on {len(set(first.query)):,} prompts, {len(first.models)} models")
    for name in args.sets.split(","):
        problem = read_problem(args.data, name)
        counts = [int(count) for count in args.golden.split(",")]
        table(problem, bench.rows(problem, args.routers.split(","), counts))
    print("\n* all of the training half, which has no more")


if __name__ == "__main__":
    main()
