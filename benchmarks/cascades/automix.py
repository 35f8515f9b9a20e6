"""AutoMix and cascades by agreement on recorded answers; what verifies an answer is paid for.

    python benchmarks/cascades/automix.py panel [--splits 20] [--resamples 2000]
    python benchmarks/cascades/automix.py date --data DIR [--splits 20] [--resamples 2000]

`panel`: small -> large of the recorded panel. Signals of small's answers: `verification` (8
self-verifications), `self_consistency` (share of 5 samples that agree with the answer), `agreement`
(small-steps says the same), `sequence_log_likelihood` (of the answer's own tokens, free). Fitted for the
incremental benefit per cost (IBC), at the recorded CPU costs and at the costs of the AutoMix paper: small
1, large 50, all verifications of an answer together 1; a sample 1, small-steps 2. A delta-IBC of 0 is
what sending a share to large at random has.

`date`: gpt-3.5-turbo -> gpt-4 on DATE (mot_cascade_samples). gpt-3.5's answer is the commonest of its
samples, of one prompt style or of two, and their agreement is the signal; samples of one style share
their prompt's cost, as with the API's `n`. Fitted: 4, 8 or 20 samples in all and a threshold, the
cheapest that lose nothing against gpt-4 on the fit half. Prices per million tokens, June 2023: 1.5 in and
2 out, gpt-4 30 and 60. Prompt lengths are not recorded: taken are 600 tokens of six examples for cot, 850
for pot, and the question's characters over 4. `--prompt-scale` multiplies the examples' length.

Both: every split makes two random halves, fits on each and tests on the other; a query's figures are its
means over splits. Intervals: 95 %, queries (of the panel: templates) drawn with replacement.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from suffice.cascades import Cascade, Recorded, create, play
from suffice.cascades.automix import share
from suffice.cascades.automix.threshold import threshold_chains
from suffice.cascades.repeats import readings_of
from suffice.cascades.stages import outcome
from suffice.confidence import self_consistency, sequence_log_likelihood
from suffice.datasets import panel
from suffice.metrics import auroc, delta_ibc, delta_ibc_interval, percentile_interval, resampled_means
from suffice.outcomes import Outcomes
from suffice.plans.probes.answers import answer_key, labels_of
from suffice.types import FloatArray

VERIFIERS: Final = ("threshold", "double_threshold", "pomdp", "self_consistency", "bayes")
STYLES: Final = {
    "cot": ("cot1",),
    "cot + pot": ("cot1", "pot1"),
    "cot + pot, other examples": ("cot1", "pot2"),
}
N_SAMPLES: Final = (4, 8, 20)
PRICES: Final = {"gpt-3.5-turbo": (1.5e-6, 2e-6), "gpt-4": (30e-6, 60e-6)}
"""USD per token in and out."""
EXAMPLES: Final = {"cot": 600.0, "pot": 850.0}
"""Tokens of the few-shot prompt."""
MARGIN: Final = 0.02
HEAD: Final = (
    f"{'signal':<24}{'AUROC':>6}  {'meta-verifier':<18}{'quality':>8}{'cost':>9}{'to large':>9}  delta-IBC"
)
DATE_HEAD: Final = (
    f"{'samples of gpt-3.5':<28}{'alone, 20':>9}{'AUROC':>7}{'cascade':>9}{'kept':>6}  {'cost share':<19}"
    "  quality less gpt-4's, points"
)


class Tested(NamedTuple):
    """By query, means over splits."""

    quality: FloatArray
    cost_usd: FloatArray
    escalated: FloatArray


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=("panel", "date"))
    parser.add_argument("--data", type=Path, help="directory with mot_cascade_samples.parquet")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--temperature", type=float, default=0.4, help="of gpt-3.5's samples: 0.4 or 0.8")
    parser.add_argument("--prompt-scale", type=float, default=1.0)
    args = parser.parse_args()
    if args.which == "panel":
        on_panel(args.splits, args.resamples)
    else:
        on_date(args)


def on_panel(n_splits: int, n_resamples: int) -> None:
    every = recorded_panel()
    verified = every.select(~np.isnan(every.signal("verification")[:, 0]))
    for costs, table in (("recorded CPU costs", verified), ("costs 1 : 50 : 1", in_papers_units(verified))):
        print(f"\n{costs}, {table.n_queries} queries: ", end="")
        print(", ".join(f"{arm} {q:.3f} at {c:.4g}" for arm, q, c in means_of(table)))
        print(HEAD)
        for signal in table.readings:
            kinds = VERIFIERS if signal == "verification" else ("threshold", "double_threshold", "pomdp")
            report_panel(table, signal, kinds, n_splits, n_resamples)
    table = every
    print(f"\nrecorded CPU costs, all {table.n_queries} queries")
    report_panel(
        table, "sequence_log_likelihood", ("threshold", "double_threshold", "pomdp"), n_splits, n_resamples
    )
    table = in_papers_units(every)
    print(f"\ncosts 1 : 50 : 1, all {table.n_queries} queries")
    report_panel(
        table, "sequence_log_likelihood", ("threshold", "double_threshold", "pomdp"), n_splits, n_resamples
    )


def recorded_panel() -> Recorded:
    """small and large with every signal of small; missing where it was not recorded."""
    runs = panel.load_runs()
    greedy = panel.load_outcomes(responses=True)
    said = {(row["query_id"], row["model"]): row for row in runs.where(strategy="greedy").table.to_pylist()}
    table = greedy.select(arms=["small", "large"])
    kinds = {
        name: (row["check"], labels_of(row["check"], row["reference"])) for (name, _), row in said.items()
    }
    verified = readings_of(runs, table, "verify", lambda answer, replies: share(replies))
    shape = table.quality.shape
    readings = {
        name: np.full(shape, np.nan) for name in ("self_consistency", "agreement", "sequence_log_likelihood")
    }
    paid = {name: np.zeros(shape) for name in readings}
    samples = defaultdict(list)
    for row in runs.where(strategy="sample").table.select(["query_id", "response", "cost_usd"]).to_pylist():
        samples[row["query_id"]].append(row)
    for place, name in enumerate(table.ids):
        key = answer_key(said[name, "small"]["response"], *kinds[name]) or None
        drawn = samples[name]
        if key is not None and drawn:
            keys = [answer_key(row["response"], *kinds[name]) or None for row in drawn]
            readings["self_consistency"][place, 0] = self_consistency.score(keys, answer=key).value or 0.0
        paid["self_consistency"][place, 0] = sum(row["cost_usd"] for row in drawn)
        other = said[name, "small-steps"]
        readings["agreement"][place, 0] = key is not None and key == answer_key(
            other["response"], *kinds[name]
        )
        paid["agreement"][place, 0] = other["cost_usd"]
        logprobs = [token["logprob"] for token in said[name, "small"]["logprobs"] or []]
        found = sequence_log_likelihood.score(logprobs).confidence
        readings["sequence_log_likelihood"][place, 0] = np.nan if found is None else found
    return Recorded.of(
        table,
        {"verification": verified.reading, **readings},
        reading_cost_usd={"verification": verified.cost_usd, **paid},
    )


def in_papers_units(table: Recorded) -> Recorded:
    units = {"verification": 1.0, "self_consistency": 5.0, "agreement": 2.0, "sequence_log_likelihood": 0.0}
    ones = np.ones(table.quality.shape)
    plain = Outcomes.from_arrays(table.queries, table.arms, table.quality, cost_usd=ones * [1.0, 50.0])
    return Recorded.of(
        plain, table.readings, reading_cost_usd={name: ones * units[name] for name in table.readings}
    )


def report_panel(
    table: Recorded, signal: str, kinds: tuple[str, ...], n_splits: int, n_resamples: int
) -> None:
    groups = np.unique([str(query.id).rpartition("-")[0] for query in table.queries], return_inverse=True)[1]
    readings, right = table.signal(signal)[:, 0], table.quality[:, 0] >= 0.5
    known = ~np.isnan(readings)
    sure = f"{signal:<24}{auroc(readings[known], right[known]):>6.3f}"
    small, large = ((table.quality[:, arm], table.cost_usd[:, arm]) for arm in (0, 1))
    for kind in kinds:
        got = cross_fitted(table, f"automix_{kind}", {"signal": signal}, groups, n_splits)
        columns = [by_group(pair, groups) for pair in ((got.quality, got.cost_usd), small, large)]
        ends = [(float(q.mean()), float(c.mean())) for q, c in columns]
        delta = delta_ibc(*ends[0], small=ends[1], large=ends[2])
        low, high = delta_ibc_interval(*columns, n=n_resamples)
        cells = f"{ends[0][0]:>8.3f}{ends[0][1]:>9.3g}{got.escalated.mean():>9.2f}"
        print(f"{sure}  {kind:<18}{cells}  {delta:+.2f} ({low:+.2f} to {high:+.2f})", flush=True)
        sure = " " * 30


def cross_fitted(
    table: Recorded, name: str, params: Mapping[str, Any], groups: np.ndarray[Any, Any], n_splits: int
) -> Tested:
    """Every query tested once per split, by a cascade fitted on the half without its group."""
    total = np.zeros((3, table.n_queries))
    for fit, test in halves(groups, n_splits):
        cascade: Cascade = create(name, **params).fit(table.select(fit))
        played = play(cascade, table.select(test))
        total[:, test] += [played.quality, played.cost_usd, played.arm == len(cascade.arms) - 1]
    return Tested(*total / n_splits)


def halves(
    groups: np.ndarray[Any, Any], n_splits: int
) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Rows to fit on and rows to test on, both ways round."""
    for seed in range(n_splits):
        side = np.random.default_rng(seed).permutation(groups.max() + 1) % 2
        for one in (0, 1):
            yield np.flatnonzero(side[groups] == one), np.flatnonzero(side[groups] != one)


def by_group(
    columns: tuple[FloatArray, FloatArray], groups: np.ndarray[Any, Any]
) -> tuple[FloatArray, FloatArray]:
    """Means of groups, which are all of one size."""
    counts = np.bincount(groups)
    return np.bincount(groups, columns[0]) / counts, np.bincount(groups, columns[1]) / counts


def means_of(table: Recorded) -> list[tuple[str, float, float]]:
    return list(zip(table.arms, table.quality.mean(axis=0), table.cost_usd.mean(axis=0), strict=True))


def on_date(args: argparse.Namespace) -> None:
    rows = pq.read_table(
        args.data / "mot_cascade_samples.parquet", filters=[("task", "==", "date")]
    ).to_pylist()
    said: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row["sample"]):
        if row["model"] == "gpt-4" or (
            row["model"] == "gpt-3.5-turbo" and row["temperature"] == args.temperature
        ):
            said[row["model"], row["strategy"]][row["query_id"]].append(row)
    ids = sorted({row["query_id"] for row in rows})
    print(f"{len(ids)} questions, gpt-3.5 at temperature {args.temperature}, prompts x {args.prompt_scale:g}")
    weak_samples = {name: by_query for (model, name), by_query in said.items() if model == "gpt-3.5-turbo"}
    for strong, style, n in (
        ("gpt-4 cot, greedy", "cot1_greedy", 1),
        ("gpt-4 cot, commonest of 3", "cot1", 3),
    ):
        reference = answers_of({style: said["gpt-4", style]}, ids, "gpt-4", n, args.prompt_scale)
        print(
            f"\n{strong}: {reference[:, 0].mean():.3f} at {1000 * reference[:, 1].mean():.2f} USD per 1,000"
        )
        print(DATE_HEAD)
        for label, styles in STYLES.items():
            samples = {name: weak_samples[name] for name in styles}
            weak = [answers_of(samples, ids, "gpt-3.5-turbo", k, args.prompt_scale) for k in N_SAMPLES]
            report_date(label, [two_arms(ids, one, reference) for one in weak], args)


def answers_of(
    samples: Mapping[str, Mapping[str, list[dict[str, Any]]]],
    ids: list[str],
    model: str,
    k: int,
    scale: float,
) -> FloatArray:
    """(n, 3): `voted` by query."""
    return np.array(
        [voted({style: rows[name] for style, rows in samples.items()}, model, k, scale) for name in ids]
    )


def voted(
    samples: Mapping[str, list[dict[str, Any]]], model: str, k: int, scale: float
) -> tuple[float, float, float]:
    """The commonest of k samples, an equal part of each style: its quality, what all cost, and its share."""
    part = k // len(samples)
    drawn = [row for rows in samples.values() for row in rows[:part]]
    into, out = PRICES[model]
    cost = 0.0
    for style, rows in samples.items():
        prompt = EXAMPLES[style[:3]] * scale + len(rows[0]["query"]) / 4
        cost += prompt * into + sum(row["completion_tokens"] or 0 for row in rows[:part]) * out
    answers = [row["answer"] or None for row in drawn]
    chosen = self_consistency.majority(answers)
    if chosen is None:
        return 0.0, cost, np.nan
    quality = next(row["score"] for row in drawn if row["answer"] == chosen)
    return float(quality), cost, answers.count(chosen) / len(answers)


def two_arms(ids: list[str], weak: FloatArray, strong: FloatArray) -> Recorded:
    both = np.stack([weak, strong], axis=1)  # (n, 2, 3)
    table = Outcomes.from_arrays(ids, ["gpt-3.5", "gpt-4"], both[:, :, 0], cost_usd=both[:, :, 1])
    return Recorded.of(table, {"self_consistency": both[:, :, 2]})


def report_date(label: str, tables: list[Recorded], args: argparse.Namespace) -> None:
    n = tables[0].n_queries
    quality, cost, kept = np.zeros(n), np.zeros(n), np.zeros(n)
    for fit, test in halves(np.arange(n), args.splits):
        k, cascade = cheapest_as_good([table.select(fit) for table in tables])
        played = play(cascade, tables[k].select(test))
        quality[test] += played.quality / args.splits
        cost[test] += played.cost_usd / args.splits
        kept[test] += (played.arm == 0) / args.splits
    last = tables[-1]
    loss = quality - last.quality[:, 1]
    drawn = resampled_means(np.column_stack([loss, cost, last.cost_usd[:, 1]]), args.resamples)
    low, high = percentile_interval(drawn[:, 0])
    shares = percentile_interval(drawn[:, 1] / drawn[:, 2])
    readings = np.nan_to_num(last.signal("self_consistency")[:, 0])
    sure = auroc(readings, last.quality[:, 0] >= 0.5)
    verdict = "not inferior" if low > -MARGIN else "not shown"
    print(
        f"{label:<28}{last.quality[:, 0].mean():>9.3f}{sure:>7.3f}{quality.mean():>9.3f}{kept.mean():>6.2f}"
        f"  {cost.mean() / last.cost_usd[:, 1].mean():.3f} ({shares[0]:.3f}-{shares[1]:.3f})"
        f"  {100 * loss.mean():+.1f} ({100 * low:+.1f} to {100 * high:+.1f}): {verdict}",
        flush=True,
    )


def cheapest_as_good(tables: list[Recorded]) -> tuple[int, Cascade]:
    """Number of samples and threshold: the lowest cost among those that lose nothing here."""
    best: tuple[float, int, Any] | None = None
    for k, table in enumerate(tables):
        for stages in threshold_chains(table, "self_consistency"):
            quality, cost = outcome(table, "self_consistency", stages)
            if quality.mean() >= table.quality[:, 1].mean() and (best is None or cost.mean() < best[0]):
                best = float(cost.mean()), k, stages
    assert best is not None  # gpt-4 alone loses nothing
    cascade = create("confidence", signal="self_consistency", arms=tables[0].arms).fit(tables[best[1]])
    cascade.stages_ = best[2]
    return best[1], cascade


if __name__ == "__main__":
    main()
